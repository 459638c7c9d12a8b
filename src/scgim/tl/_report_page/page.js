"use strict";
const find = (id) => document.getElementById(id);
const make = (tag, text, name) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; if (name) e.className = name; return e; };
const SVG = "http://www.w3.org/2000/svg";
const draw = (parent, tag, attributes, text) => { const e = document.createElementNS(SVG, tag); for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v); if (text !== undefined) e.textContent = text; parent.appendChild(e); return e; };
const number = (v) => v === null ? "" : Math.abs(v) >= 1000 || (v !== 0 && Math.abs(v) < 0.001) ? v.toExponential(1) : String(+v.toFixed(3));

function hide(id, empty) { if (empty) find(id).remove(); }
document.title = data.title;
find("title").textContent = data.title;
for (const line of data.summary) find("sentences").appendChild(make("p", line));
find("overview-picture").src = pictures.overview;
hide("diagnostics", !pictures.diagnostics);
if (pictures.diagnostics) find("diagnostics-picture").src = pictures.diagnostics;
hide("curves", !data.curves.length);
hide("evaluation", !data.evaluation.length);
hide("graph", !data.graph.genes.length);
for (const section of document.querySelectorAll("section")) { const a = make("a", section.querySelector("h2").textContent); a.href = "#" + section.id; find("nav").appendChild(a); }

// targets: search, sort, save
const columns = ["perturbation", "gene", "kind", "probability", "effect", "sd of effect", "false sign rate", "rank"];
let order = { column: 3, down: true }, limit = 200;
function chosen() {
  const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean), least = +find("least").value || 0;
  const rows = data.targets.filter((r) => r[3] >= least && words.every((w) => (r[0] + " " + r[1] + " " + r[2]).toLowerCase().includes(w)));
  const { column, down } = order;
  return rows.sort((a, b) => { const x = a[column], y = b[column], s = typeof x === "string" ? x.localeCompare(y) : (x ?? -1e99) - (y ?? -1e99); return (down ? -s : s) || a[7] - b[7]; });
}
function show() {
  const rows = chosen(), body = find("table").tBodies[0];
  body.replaceChildren(...rows.slice(0, limit).map((r) => {
    const line = make("tr");
    r.forEach((v, k) => line.appendChild(make("td", k < 3 ? v : k === 7 ? v : number(v), k < 3 ? "" : "number" + (k === 4 ? (v > 0 ? " up" : " down") : ""))));
    return line;
  }));
  find("count").textContent = rows.length + " of " + data.targets.length + " rows" + (rows.length > limit ? ", the first " + limit + " shown" : "");
  find("more").hidden = rows.length <= limit;
  document.querySelectorAll("#table th").forEach((th, k) => th.setAttribute("aria-sort", k === order.column ? (order.down ? "descending" : "ascending") : "none"));
}
const head = make("tr");
columns.forEach((name, k) => { const th = make("th"), b = make("button", name); b.type = "button"; b.onclick = () => { order = { column: k, down: order.column === k ? !order.down : k >= 3 && k !== 7 }; show(); }; th.appendChild(b); head.appendChild(th); });
find("table").tHead.appendChild(head);
find("search").oninput = find("least").oninput = () => { limit = 200; show(); };
find("more").onclick = () => { limit += 500; show(); };
find("csv").onclick = () => {
  const cell = (v) => { const t = v === null ? "" : String(v); return /[",\n]/.test(t) ? '"' + t.replaceAll('"', '""') + '"' : t; };
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([[columns, ...chosen()].map((r) => r.map(cell).join(",")).join("\n")], { type: "text/csv" }));
  link.download = "targets.csv"; link.click(); URL.revokeObjectURL(link.href);
};
show();

// graph: click a gene
if (data.graph.genes.length) {
  const { genes, edges } = data.graph, svg = find("drawing"), wide = 9 + 7 * Math.max(...genes.map((g) => g[0].length), 4), stepX = wide + 16, stepY = 62;
  const x = (g) => 12 + wide / 2 + g[1] * stepX, y = (g) => 20 + g[2] * stepY;
  const width = Math.max(...genes.map(x)) + wide / 2 + 12, height = Math.max(...genes.map(y)) + 24;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`); svg.setAttribute("width", width); svg.setAttribute("height", height);
  const most = Math.max(...edges.map((e) => Math.abs(e[2])), 1e-9);
  const lines = edges.map(([a, b, w, p]) => {
    const [x0, y0, x1, y1] = [x(genes[a]), y(genes[a]) + 11, x(genes[b]), y(genes[b]) - 13], mid = (y0 + y1) / 2;
    const line = draw(svg, "path", { class: "edge", d: `M${x0},${y0} C${x0},${mid} ${x1},${mid} ${x1},${y1}`, stroke: w > 0 ? "var(--up)" : "var(--down)", "stroke-width": 0.8 + 2.4 * Math.abs(w) / most, "stroke-opacity": 0.3 + 0.7 * p });
    draw(line, "title", {}, `${genes[a][0]} ${w > 0 ? "raises" : "lowers"} ${genes[b][0]} (${number(w)}, p ${number(p)})`);
    return line;
  });
  const nodes = genes.map((g, k) => {
    const node = draw(svg, "g", { class: "node", tabindex: 0, role: "button", "data-gene": g[0] });
    draw(node, "rect", { x: x(g) - wide / 2, y: y(g) - 11, width: wide, height: 22, rx: 7 });
    draw(node, "text", { x: x(g), y: y(g) + 4, "text-anchor": "middle" }, g[0]);
    node.onclick = () => choose(k); node.onkeydown = (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); choose(k); } };
    return node;
  });
  let last = -1;
  const list = (items) => items.length ? items.join(", ") : "none";
  function choose(k) {
    last = k === last ? -1 : k;
    const near = new Set([last, ...edges.filter((e) => e[0] === last || e[1] === last).flatMap((e) => [e[0], e[1]])]);
    nodes.forEach((n, i) => { n.classList.toggle("chosen", i === last); n.classList.toggle("dim", last >= 0 && !near.has(i)); });
    lines.forEach((l, i) => l.classList.toggle("dim", last >= 0 && edges[i][0] !== last && edges[i][1] !== last));
    if (last < 0) { find("gene").textContent = ""; return; }
    const named = (e, other) => `${genes[other][0]} (${number(e[2])}, p ${number(e[3])})`, name = genes[last][0];
    const drugs = data.targets.filter((r) => r[1] === name && r[3] >= 0.5).map((r) => `${r[0]} (${number(r[4])}, p ${number(r[3])})`);
    find("gene").textContent = `${name}. Acted on by: ${list(edges.filter((e) => e[1] === last).map((e) => named(e, e[0])))}. Acts on: ${list(edges.filter((e) => e[0] === last).map((e) => named(e, e[1])))}. Targeted by: ${list(drugs)}.`;
  }
}

// dose curves
if (data.curves.length) {
  const colours = ["#c23b33", "#2f6db3", "#3f8f5b", "#b8862b", "#7a5ea8"];
  for (const c of data.curves) { const o = make("option", c.perturbation); find("drug").appendChild(o); }
  const plot = () => {
    const one = data.curves[find("drug").selectedIndex], svg = find("curve"), W = 640, H = 300, L = 56, R = 150, T = 12, B = 40;
    svg.replaceChildren(); svg.setAttribute("viewBox", `0 0 ${W} ${H}`); svg.setAttribute("width", W); svg.setAttribute("style", "max-width:100%");
    const points = one.lines.flatMap((l) => l.points), doses = points.map((p) => p[0]), low = Math.min(...doses), high = Math.max(...doses);
    const log = low > 0 && high / low > 20, u = (d) => log ? Math.log10(d) : d;
    const least = Math.min(0, ...points.map((p) => p[1] - 2 * (p[2] ?? 0))), top = Math.max(0, ...points.map((p) => p[1] + 2 * (p[2] ?? 0)));
    const X = (d) => L + (W - L - R) * (u(high) > u(low) ? (u(d) - u(low)) / (u(high) - u(low)) : 0.5), Y = (v) => T + (H - T - B) * (top > least ? (top - v) / (top - least) : 0.5);
    draw(svg, "line", { class: "axis", x1: L, x2: W - R, y1: Y(0), y2: Y(0) }); draw(svg, "line", { class: "axis", x1: L, x2: L, y1: T, y2: H - B });
    for (const v of [least, 0, top]) draw(svg, "text", { x: L - 6, y: Y(v) + 4, "text-anchor": "end" }, number(v));
    for (const d of [...new Set(doses)]) draw(svg, "text", { x: X(d), y: H - B + 16, "text-anchor": "middle" }, number(d));
    draw(svg, "text", { x: (L + W - R) / 2, y: H - 6, "text-anchor": "middle" }, log ? "dose (logarithmic)" : "dose");
    one.lines.forEach((l, k) => {
      const c = colours[k % colours.length], p = l.points;
      draw(svg, "polygon", { points: [...p.map((q) => `${X(q[0])},${Y(q[1] + 2 * (q[2] ?? 0))}`), ...p.map((q) => `${X(q[0])},${Y(q[1] - 2 * (q[2] ?? 0))}`).reverse()].join(" "), fill: c, "fill-opacity": 0.15 });
      draw(svg, "polyline", { points: p.map((q) => `${X(q[0])},${Y(q[1])}`).join(" "), fill: "none", stroke: c, "stroke-width": 2 });
      for (const q of p) draw(svg, "circle", { cx: X(q[0]), cy: Y(q[1]), r: 3, fill: c });
      draw(svg, "rect", { x: W - R + 14, y: T + 4 + 18 * k, width: 10, height: 10, fill: c }); draw(svg, "text", { x: W - R + 30, y: T + 13 + 18 * k }, l.gene);
    });
  };
  find("drug").onchange = plot; plot();
}

// plain tables
function plain(id, heads, rows) {
  const table = find(id); if (!table) return;
  const line = make("tr"); heads.forEach((h) => line.appendChild(make("th", h))); table.appendChild(line);
  for (const r of rows) { const tr = make("tr"); r.forEach((v) => tr.appendChild(make("td", typeof v === "number" ? number(v) : v ?? "", typeof v === "number" ? "number" : ""))); table.appendChild(tr); }
}
plain("scores", ["metric", "method", "median"], data.evaluation);
plain("params", ["setting", "value"], data.settings);
