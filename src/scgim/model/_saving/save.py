"""Saving and opening of models, as scvi-tools does it but without pickles (layer `model`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import rich.pretty  # noqa: F401 -- scvi-tools uses it without importing it
import torch
from scvi.data import AnnDataManager
from scvi.data._download import _download
from scvi.model._utils import parse_device_args
from scvi.model.base import BaseModelClass
from scvi.model.base._save_load import _validate_var_names

from scgim._checks import FLAG, PATH, TEXT, count, did_you_mean, or_none
from scgim._core.state import StateError, pack
from scgim._warnings import quiet_mudata, warn_user
from scgim._writing import check_free, recover, together
from scgim.model._module.options import check_accelerator
from scgim.model._saving.archive import DAMAGE, MODEL_FILE, Saved, damaged, read_saved, write_archive
from scgim.model._study.study import Study, expression_keys, spec_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from mudata import MuData

DATA_FILE = {"setup_anndata": "adata.h5ad", "setup_mudata": "mdata.h5mu"}


class SaveMixin(BaseModelClass):
    """Saving and loading of a model."""

    def save(
        self,
        dir_path: str,
        prefix: str | None = None,
        overwrite: bool = False,  # noqa: FBT001, FBT002 -- as in scvi-tools
        save_anndata: bool = False,  # noqa: FBT001, FBT002
        **anndata_write_kwargs: Any,
    ) -> None:
        """Save the model into a folder.

        Everything is written beside and then takes its place, so that a full disk or an interruption leaves what was
        there. The file ``model.npz`` holds arrays and JSON; nothing in it is run when it is opened.

        Parameters
        ----------
        dir_path
            The folder.
        prefix
            Start of the names of the files.
        overwrite
            Whether files of a model that is there are replaced.
        save_anndata
            Whether the training data are saved too, as ``adata.h5ad`` or ``mdata.h5mu``.
        **anndata_write_kwargs
            Of :meth:`anndata.AnnData.write_h5ad`.

        Raises
        ------
        ValueError
            The folder is there and `overwrite` is not set, or there are no data to save.
        TypeError
            An argument is not one of these, or has the wrong type.

        Examples
        --------
        >>> model.save("model", overwrite=True)
        """
        folder, prefix = _folder(dir_path), _prefix(prefix)
        FLAG("overwrite", overwrite)
        FLAG("save_anndata", save_anndata)
        for name in ("save_kwargs", "legacy_mudata_format", "datamodule"):
            if anndata_write_kwargs.pop(name, None):
                raise TypeError(f"{name}: is not used by GIM.save, whose files are not written by torch; leave it out.")
        if anndata_write_kwargs and not save_anndata:
            name = sorted(anndata_write_kwargs)[0]
            near = did_you_mean(name, ("dir_path", "prefix", "overwrite", "save_anndata"))
            raise TypeError(f"{name}: is not used by GIM.save without save_anndata=True{near or '; leave it out'}.")
        if not overwrite:
            check_free(folder, "dir_path")
        with together(folder, "dir_path") as stage:
            write_model(self, stage, prefix, save_anndata=save_anndata, **anndata_write_kwargs)

    def _saved_state(self) -> dict[str, Any]:
        """What :class:`Saved` lists, as it is stored."""
        attributes = {k: v for k, v in vars(self).items() if k.endswith("_") and not k.startswith("_")}
        parameters = {k: v.detach().cpu() for k, v in self.module.state_dict().items()}
        return {
            "attributes": _plain(attributes),
            "parameters": {k: (v.float() if v.dtype == torch.bfloat16 else v).numpy() for k, v in parameters.items()},
            "var_names": _var_names(self.registry_),
        }

    def _restore(self, saved: Saved) -> None:
        """Attributes and parameters, as they were saved."""
        for name, value in saved.attributes.items():
            if name.isidentifier() and name.endswith("_") and not name.startswith("_"):
                setattr(self, name, value)
        self.module.on_load(self, pyro_param_store=None)
        self.module.load_state_dict({k: torch.as_tensor(np.array(v)) for k, v in saved.parameters.items()})
        if self.is_trained_:
            self.module.follow(self.fitted.mechanisms)  # type: ignore[attr-defined]

    @classmethod
    def load(
        cls,
        dir_path: str,
        adata: AnnData | MuData | bool | None = None,  # noqa: FBT001 -- as in scvi-tools
        accelerator: str = "auto",
        device: int | str = "auto",
        prefix: str | None = None,
        backup_url: str | None = None,
        datamodule: Any = None,
        allowed_classes_names_list: Sequence[str] | None = None,
    ) -> Any:
        """Open a saved model; no code in its files is run.

        Parameters
        ----------
        dir_path
            Folder of :meth:`save`.
        adata
            Data with the columns and genes of the training data, which need not be set up. None: those that were saved with
            the model, if any. False: none; predictions, targets and the graph need no data.
        accelerator, device
            Where the torch module is put.
        prefix
            Start of the names of the files.
        backup_url
            Address of ``model.npz`` where it is not in the folder.
        datamodule, allowed_classes_names_list
            Of other models of scvi-tools; not used.

        Returns
        -------
        The model.

        Raises
        ------
        ValueError
            There is no model, or it was saved by another package or a later version of scgim, or its file is damaged, or the
            data do not fit.

        Examples
        --------
        >>> model = scgim.model.GIM.load("model", adata=False)
        """
        _refuse(datamodule=datamodule, allowed_classes_names_list=allowed_classes_names_list)
        folder, prefix = _folder(dir_path), _prefix(prefix)
        or_none(TEXT)("backup_url", backup_url)
        check_accelerator(accelerator)
        _check_device(device)
        _, _, device = parse_device_args(
            accelerator=accelerator, devices=device, return_device="torch", validate_single_device=True
        )
        _recover(folder)
        if backup_url is not None:
            _download(backup_url, str(folder), f"{prefix}{MODEL_FILE}")
        saved, path = read_saved(folder, prefix), folder / f"{prefix}{MODEL_FILE}"
        registry = saved.attributes.pop("registry_", None)
        method = _check_registry(registry, path, cls.__name__)
        if adata is None:
            adata = _saved_data(folder / f"{prefix}{DATA_FILE[method]}")
        if adata is False:
            adata = None
        else:
            _check_data(adata, method)
            _validate_var_names(adata, saved.var_names)
            setup = cls.setup_mudata if method == "setup_mudata" else cls.setup_anndata
            setup(adata, source_registry=registry, **registry["setup_args"])
        try:
            model = cls(adata, registry=registry, **constructor(saved.attributes.pop("init_params_")))
            model._restore(saved)
        except DAMAGE as error:
            raise damaged(path, error) from error
        model.to_device(device)
        model.module.eval()
        if adata is not None:
            model._validate_anndata(adata)
        return model

    @staticmethod
    def load_registry(dir_path: str, prefix: str | None = None) -> dict[str, Any]:
        """What was registered when a saved model was set up.

        Parameters
        ----------
        dir_path
            Folder of :meth:`save`.
        prefix
            Start of the names of the files.

        Raises
        ------
        ValueError
            As :meth:`load`.
        """
        folder, prefix = _folder(dir_path), _prefix(prefix)
        _recover(folder)
        registry: Any = read_saved(folder, prefix).attributes.get("registry_")
        _check_registry(registry, folder / f"{prefix}{MODEL_FILE}", None)
        return registry

    @staticmethod
    def view_setup_args(dir_path: str, prefix: str | None = None) -> None:
        """Print the arguments with which a saved model was set up.

        Parameters
        ----------
        dir_path
            Folder of :meth:`save`.
        prefix
            Start of the names of the files.
        """
        AnnDataManager.view_setup_method_args(SaveMixin.load_registry(dir_path, prefix))

    @classmethod
    def convert_legacy_save(cls, *args: Any, **kwargs: Any) -> None:
        """Not for this model: there are no files of scgim in the format of scvi-tools before 0.15.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError("convert_legacy_save: files of scvi-tools before 0.15 hold no model of scgim.")


def write_model(model: Any, folder: Path, prefix: str = "", *, save_anndata: bool, **anndata_write_kwargs: Any) -> None:
    """Write the file of a model, and its data if asked for, into a folder that is there."""
    if save_anndata and model.adata is None:
        raise ValueError("save_anndata: the model was loaded without data; use GIM.load(dir_path, adata) first.")
    tree, arrays = pack(model._saved_state())
    if save_anndata:
        name = DATA_FILE["setup_mudata" if hasattr(model.adata, "mod") else "setup_anndata"]
        with quiet_mudata():
            model.adata.write(folder / f"{prefix}{name}", **anndata_write_kwargs)
    write_archive(folder / f"{prefix}{MODEL_FILE}", tree, arrays)


def _refuse(**given: Any) -> None:
    """Raise TypeError for arguments of scvi-tools that are not used."""
    for name, value in given.items():
        if value is not None:
            raise TypeError(f"{name}: is not used by GIM.load; leave it out.")


def _check_registry(registry: Any, path: Path, name: str | None) -> str:
    """The set-up method of a registry that can be read; it is looked up in a list, not in a class."""
    try:
        made, method = registry["model_name"], registry.get("setup_method_name", "setup_anndata")
        if method not in DATA_FILE:
            raise StateError(f"it was set up by {method!r}")
        Study.of(registry)
        if not all(isinstance(k, str) for k in registry["setup_args"]):
            raise StateError("its arguments of the set-up have no names")
    except DAMAGE as error:
        raise damaged(path, error) from error
    if name is not None and made != name:
        raise ValueError(f"dir_path: {path} holds a {made}, not a {name}; open it with {made}.load.")
    return str(method)


def constructor(params: Any) -> dict[str, Any]:
    """Keywords of the constructor, from what scvi-tools calls ``init_params_``."""
    parts = (params["non_kwargs"], *params["kwargs"].values())
    return {k: v for part in parts for k, v in part.items()}


def _var_names(registry: dict[str, Any]) -> list[str] | dict[str, list[str]]:
    """Names of the modelled variables; for a MuData those of each modality."""
    spec = spec_of(registry)
    keys = zip(spec.layers, expression_keys(spec), strict=True)
    names = {m: list(registry["field_registries"][key]["state_registry"]["column_names"]) for m, key in keys}
    return names[None] if None in names else {str(m): of for m, of in names.items()}


def _saved_data(path: Path) -> Any:
    """The data beside a model, or False with a warning."""
    if not path.is_file():
        warn_user(
            f"adata: {path.parent} holds no {path.name}, so the model is loaded without data; pass adata, or adata=False."
        )
        return False
    import anndata
    import mudata

    try:
        with quiet_mudata():
            return mudata.read_h5mu(path) if path.suffix == ".h5mu" else anndata.read_h5ad(path)
    except DAMAGE as error:
        raise ValueError(
            f"dir_path: {path} cannot be read ({' '.join(str(error).split())[:200]}); pass adata, or adata=False."
        ) from error


def _check_device(device: Any) -> None:
    """``"auto"`` or one device."""
    if not isinstance(device, str):
        count(1)("device", device)
    elif device != "auto" and not device.isdecimal():
        raise ValueError(f"device: expected 'auto' or the number of one device, found {device!r}.")


def _check_data(adata: Any, method: str) -> None:
    from anndata import AnnData
    from mudata import MuData

    expected = MuData if method == "setup_mudata" else AnnData
    if not isinstance(adata, expected):
        raise TypeError(
            f"adata: expected {expected.__name__}, None for the data that were saved, or False for none; found "
            f"{type(adata).__name__}."
        )


def _recover(folder: Path) -> None:
    """Finish a write of the model, or of the result that it is a part of."""
    for place in (folder.parent, folder):
        recover(place)


def _folder(dir_path: Any) -> Path:
    PATH("dir_path", dir_path)
    return Path(dir_path)


def _prefix(prefix: Any) -> str:
    if prefix is not None and not isinstance(prefix, str):
        raise TypeError(f"prefix: expected text or None, found {type(prefix).__name__}.")
    if prefix and (os.sep in prefix or "/" in prefix):
        raise ValueError(f"prefix: expected the start of a file name, found {prefix!r}; name the folder in dir_path.")
    return prefix or ""


def _plain(value: Any) -> Any:
    """Without the classes of other packages that carry lists and dicts."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, pd.Index | pd.Series | pd.api.extensions.ExtensionArray):
        return value.tolist()
    return [_plain(v) for v in value] if isinstance(value, list) else value
