"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const quantized = data.schemes.filter((scheme) => scheme.name !== "lossless" && data.tensors.length > 0);
const lossless = data.schemes[0];

// An element with attributes and children (texts or elements); names from the data only ever become text.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Numbers as people write them.
function size(bytes) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; ++unit) bytes /= 1000;
  return (unit === 0 ? bytes : bytes.toPrecision(3)) + " " + units[unit];
}
function count(number) {
  if (number < 1e4) return String(number);
  if (number < 1e6) return (number / 1e3).toFixed(1) + " K";
  if (number < 1e9) return (number / 1e6).toFixed(1) + " M";
  return (number / 1e9).toFixed(2) + " G";
}
const decibels = (db) => (db === null ? "exact" : db.toFixed(1));
const percent = (share) => (100 * share).toFixed(1) + " %";
const family = (scheme) =>
  scheme.name.startsWith("rate-") ? "rate" :
  scheme.name.startsWith("trellis-") ? "trellis" :
  scheme.name.startsWith("uint4-group") ? "group" :
  scheme.name === "uint8" || scheme.name === "uint4" ? "entro" :
  scheme.name === "lossless" ? "plain" : "int8";
const rates = quantized.filter((scheme) => family(scheme) === "rate");
const trellises = quantized.filter((scheme) => family(scheme) === "trellis");
// The rate of a scheme of either curve, as it was asked for.
const rateOf = (scheme) => scheme.name.slice(scheme.name.indexOf("-") + 1);

// Names without what all of them begin with, up to a dot or slash, and without ".weight".
const commonStart = (() => {
  const names = data.tensors.map((tensor) => tensor.name);
  if (names.length < 2) return "";
  let start = names[0];
  for (const name of names) while (!name.startsWith(start)) start = start.slice(0, -1);
  return start.slice(0, Math.max(start.lastIndexOf("."), start.lastIndexOf("/")) + 1);
})();
function short(name) {
  const rest = name.startsWith(commonStart) ? name.slice(commonStart.length) : name;
  return rest.endsWith(".weight") && rest.length > 7 ? rest.slice(0, -7) : rest;
}

// Round steps for an axis from low to high of about `wanted` ticks.
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = Math.pow(10, Math.floor(Math.log10(rough)));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; ++i) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function showFacts() {
  const name = data.source.replace(/[/]+$/, "").split("/").pop() || data.source;
  document.title = name + ": what each scheme costs";
  byId("source").textContent = name;
  const facts = [["files", size(data.source_bytes)],
                 ["lossless archive", size(lossless.archive_bytes) + " (" + percent(lossless.archive_bytes / data.source_bytes) + ")"]];
  if (data.tensors.length > 0) {
    facts.push(["matrices to quantize", String(data.tensors.length)], ["their weights", count(data.weights)],
               ["their lossless bits", lossless.bits_per_weight.toFixed(2)]);
  }
  for (const [term, value] of facts) byId("facts").append(make("div", {}, make("dt", {}, term), make("dd", {}, value)));
}

// A curve's `y` where its `x` has a value; null outside the curve.
function along(curve, x, y, value) {
  for (let i = 1; i < curve.length; ++i) {
    const a = curve[i - 1], b = curve[i];
    if (value < a[x] || value > b[x]) continue;
    return a[y] + (b[y] - a[y]) * (value - a[x]) / (b[x] - a[x]);
  }
  return null;
}

function showFinding() {
  const group = quantized.find((scheme) => scheme.name === "uint4-group-128");
  if (!group || group.sqnr_db === null) return;
  const sqnr = along(rates, "bits_per_weight", "sqnr_db", group.bits_per_weight);
  const bits = along(rates, "sqnr_db", "bits_per_weight", group.sqnr_db);
  const onTrellis = along(trellises, "bits_per_weight", "sqnr_db", group.bits_per_weight);
  const parts = [];
  if (sqnr !== null) {
    parts.push("At the size of 4-bit groups of 128 (" + group.bits_per_weight.toFixed(2) +
               " bits), steps chosen for that rate keep " + sqnr.toFixed(1) + " dB against " + group.sqnr_db.toFixed(1) + ".");
  }
  if (bits !== null) {
    parts.push("The same " + group.sqnr_db.toFixed(1) + " dB take " + bits.toFixed(2) + " bits, " +
               percent(1 - bits / group.bits_per_weight) + " fewer.");
  }
  if (sqnr !== null && onTrellis !== null) {
    parts.push("On a trellis (--trellis) that size would keep " + onTrellis.toFixed(1) + " dB, by samples.");
  }
  byId("finding").textContent = parts.join(" ");
}

// Puts labels beside their points where they hit neither each other nor a point nor the edge.
function placeLabels(points, width, height, left) {
  const taken = points.map((point) => ({x: point.x - 5, y: point.y - 5, w: 10, h: 10}));
  const onCurves = points.filter((point) => point.curve);
  for (const name of ["rate", "trellis"]) {
    const curve = onCurves.filter((point) => point.curve === name);
    for (let i = 1; i < curve.length; ++i) {
      for (let part = 0.1; part < 1; part += 0.1) {
        taken.push({x: curve[i - 1].x + part * (curve[i].x - curve[i - 1].x) - 3,
                    y: curve[i - 1].y + part * (curve[i].y - curve[i - 1].y) - 3, w: 6, h: 6});
      }
    }
  }
  const hits = (box) => box.x < left || box.x + box.w > width || box.y < 0 || box.y + box.h > height ||
    taken.some((other) => box.x < other.x + other.w && other.x < box.x + box.w && box.y < other.y + other.h && other.y < box.y + box.h);
  for (const point of [...onCurves, ...points.filter((point) => !point.curve)]) {
    if (point.text === "") continue;
    const w = point.text.length * 6.6 + 4, h = 15;
    // Curves rise to the right: above the upper one to the left is free.
    const places = point.curve ? [{x: point.x - 4 - w, y: point.y - 20}] : [];
    for (const far of [0, 9, 20]) {
      places.push({x: point.x + 8 + far / 2, y: point.y - 8 + far}, {x: point.x - 8 - far / 2 - w, y: point.y - 8 - far},
                  {x: point.x + 8, y: point.y - 8 - far}, {x: point.x - 8 - w, y: point.y - 8 + far},
                  {x: point.x - w / 2, y: point.y - 23 - far}, {x: point.x - w / 2, y: point.y + 8 + far});
    }
    const place = places.find((candidate) => !hits({...candidate, w, h}));
    if (!place) continue;
    taken.push({...place, w, h});
    point.label = {x: place.x + 2, y: place.y + 12};
  }
}

function axes(svg, frame, xTicks, yTicks, x, y, xTitle, yTitle) {
  for (const tick of yTicks) {
    svg.append(draw("line", {class: "grid", x1: frame.left, x2: frame.right, y1: y(tick), y2: y(tick)}),
               draw("text", {x: frame.left - 7, y: y(tick) + 4, "text-anchor": "end"}, tick));
  }
  for (const tick of xTicks) {
    svg.append(draw("line", {class: "grid", x1: x(tick), x2: x(tick), y1: frame.top, y2: frame.bottom}),
               draw("text", {x: x(tick), y: frame.bottom + 17, "text-anchor": "middle"}, tick));
  }
  svg.append(draw("line", {class: "axis", x1: frame.left, x2: frame.right, y1: frame.bottom, y2: frame.bottom}),
             draw("text", {x: (frame.left + frame.right) / 2, y: frame.bottom + 35, "text-anchor": "middle"}, xTitle),
             draw("text", {x: frame.left - 30, y: frame.top - 8}, yTitle));
}

function showCurve() {
  const box = byId("curve");
  const width = Math.max(280, box.clientWidth - 20), height = Math.min(430, Math.max(300, width * 0.5));
  const known = quantized.filter((scheme) => scheme.sqnr_db !== null);
  const frame = {left: 34, right: width - 8, top: 24, bottom: height - 42};
  const low = Math.min(0, Math.floor(Math.min(...known.map((scheme) => scheme.sqnr_db)) / 5) * 5);
  const high = Math.ceil((Math.max(...known.map((scheme) => scheme.sqnr_db)) + 1) / 5) * 5;
  const most = Math.max(8, Math.ceil(Math.max(...known.map((scheme) => scheme.bits_per_weight))));
  const x = (bits) => frame.left + (frame.right - frame.left) * bits / most;
  const y = (db) => frame.bottom - (frame.bottom - frame.top) * (db - low) / (high - low);
  const svg = draw("svg", {viewBox: "0 0 " + width + " " + height, role: "img",
                           "aria-label": "Bits per weight against signal to quantization noise of every scheme"});
  axes(svg, frame, ticks(0, most, 8), ticks(low, high, 6), x, y, "bits per weight", "SQNR, dB");
  for (const curve of [rates, trellises].filter((schemes) => schemes.length > 0)) {
    svg.append(draw("polyline", {points: curve.map((s) => x(s.bits_per_weight) + "," + y(s.sqnr_db)).join(" "), fill: "none",
                                 stroke: "var(--" + family(curve[0]) + ")", "stroke-width": 2.5, "stroke-linejoin": "round"}));
  }
  // Of two points of one rate the upper one, on the trellis, is named.
  const isNamedAbove = (scheme) => family(scheme) === "rate" && trellises.some((other) => rateOf(other) === rateOf(scheme));
  const points = known.map((scheme) => {
    const curve = ["rate", "trellis"].find((name) => name === family(scheme));
    return {scheme, x: x(scheme.bits_per_weight), y: y(scheme.sqnr_db), curve,
            text: !curve ? scheme.name : isNamedAbove(scheme) ? "" : rateOf(scheme)};
  });
  placeLabels(points, width, frame.bottom, frame.left);
  for (const point of points) {
    const dot = draw("circle", {cx: point.x, cy: point.y, r: 4.5, fill: "var(--" + family(point.scheme) + ")"});
    dot.append(draw("title", {}, point.scheme.title + ": " + point.scheme.bits_per_weight.toFixed(2) + " bits, " +
                                 decibels(point.scheme.sqnr_db) + " dB"));
    svg.append(dot);
    if (point.label) svg.append(draw("text", {class: "label", x: point.label.x, y: point.label.y}, point.text));
  }
  box.replaceChildren(svg);
  const names = {rate: "steps chosen for a rate", trellis: "the same on a trellis, by samples", group: "4-bit groups",
                 entro: "EntroLLM", int8: "8 bits"};
  if (trellises.length === 0) delete names.trellis;
  byId("legend").replaceChildren(...Object.entries(names).map(([name, text]) => make("span", {class: name}, text)));
}

function showSchemes() {
  // With a calibration: what becomes of the layers' outputs.
  const hasOutputs = data.schemes.some((scheme) => scheme.output_sqnr_db !== undefined);
  const headings = ["scheme", "bits", "SQNR dB", "worst dB", ...(hasOutputs ? ["outputs dB"] : []), "archive", "of files",
                    "entropy", "worst matrix", "option of create"];
  const rows = data.schemes.map((scheme) => {
    const known = data.tensors.length > 0;
    const loss = (db) => make("td", {class: db !== null && db < 10 ? "bad" : null}, known ? decibels(db) : "");
    return make("tr", {},
      make("th", {scope: "row"}, scheme.title),
      make("td", {}, known ? scheme.bits_per_weight.toFixed(3) : ""),
      loss(scheme.sqnr_db), loss(scheme.worst_sqnr_db),
      ...(hasOutputs ? [scheme === lossless ? loss(null) : scheme.output_sqnr_db === undefined ? make("td", {}, "")
                                                          : loss(scheme.output_sqnr_db)] : []),
      make("td", {}, size(scheme.archive_bytes)),
      make("td", {}, percent(scheme.archive_bytes / data.source_bytes)),
      make("td", {}, known ? scheme.entropy_bits.toFixed(3) : ""),
      make("td", {class: "text", title: scheme.worst_tensor}, known && scheme !== lossless ? short(scheme.worst_tensor) : ""),
      make("td", {class: "text"}, ...scheme.arguments.split(/ (?=--)/).flatMap((option) => [make("span", {}, option), " "])));
  });
  byId("schemes").replaceChildren(
    make("thead", {}, make("tr", {}, ...headings.map((heading, i) =>
      make("th", {scope: "col", style: i > headings.length - 3 ? "text-align:left" : null}, heading)))),
    make("tbody", {}, ...rows));
}

// Bars over `counts`, the first of which stands at `first` on an axis with the given ticks; in parts of the most.
function bars(counts, first, last, tickList, tickText, color) {
  const width = Math.max(240, byId("histograms").clientWidth / (window.innerWidth > 640 ? 2 : 1) - 34), height = 150;
  const bottom = height - 20, most = Math.max(1, ...counts);
  const svg = draw("svg", {viewBox: "0 0 " + width + " " + height, role: "img", "aria-label": "histogram"});
  const x = (value) => (value - first) / (last - first) * width;
  const step = width / counts.length;
  counts.forEach((number, i) => {
    const tall = number / most * (bottom - 4);
    if (number > 0) {
      svg.append(draw("rect", {x: i * step, y: bottom - Math.max(0.6, tall), width: Math.max(0.7, step * 0.92),
                               height: Math.max(0.6, tall), fill: color}));
    }
  });
  svg.append(draw("line", {class: "axis", x1: 0, x2: width, y1: bottom, y2: bottom}));
  tickList.forEach((tick, i) => {
    const at = Math.min(width - 2, Math.max(2, x(tick + (tickText ? 0 : 0.5))));
    svg.append(draw("text", {x: at, y: height - 5, "text-anchor": at < 14 ? "start" : at > width - 14 ? "end" : "middle"},
                    tickText ? tickText[i] : tick));
  });
  return svg;
}

// The symbols of all `tensors` together, from -> counts.
function sumSymbols(tensors, scheme) {
  const all = tensors.map((tensor) => tensor.symbols[scheme]).filter((symbols) => symbols);
  const first = Math.min(...all.map((symbols) => symbols.first));
  const end = Math.max(...all.map((symbols) => symbols.first + symbols.counts.length));
  const counts = new Array(Math.max(0, end - first)).fill(0);
  for (const symbols of all) symbols.counts.forEach((number, i) => { counts[symbols.first - first + i] += number; });
  return {first, counts};
}

function entropy(counts) {
  const total = counts.reduce((a, b) => a + b, 0);
  return counts.reduce((bits, number) => (number > 0 ? bits - number / total * Math.log2(number / total) : bits), 0);
}

function showHistograms() {
  const shown = byId("shown-matrix").value;
  const tensors = shown === "all" ? data.tensors : [data.tensors[Number(shown)]];
  const weights = tensors[0].histogram.map((_, i) => tensors.reduce((sum, tensor) => sum + tensor.histogram[i], 0));
  const span = data.histogram_span, marks = [-4, -2, 0, 2, 4];
  const captions = tensors.length === 1
    ? marks.map((mark) => (mark * tensors[0].rms).toPrecision(2)) : marks.map((mark) => mark + " rms");
  const panels = [make("figure", {}, make("figcaption", {}, "weights ", make("span", {}, tensors.length === 1
    ? "from " + tensors[0].lowest.toPrecision(3) + " to " + tensors[0].highest.toPrecision(3) + ", kurtosis " + tensors[0].kurtosis.toFixed(1)
    : "each matrix over its root mean square")), bars(weights, -span, span, marks, captions, "var(--soft)"))];
  for (const scheme of quantized) {
    if (!tensors.some((tensor) => tensor.symbols[scheme.name])) continue;
    let {first, counts} = sumSymbols(tensors, scheme.name);
    // Codes around 128 stand for steps around zero.
    if (family(scheme) === "rate") first -= 128;
    let last = first + counts.length;
    if (family(scheme) === "entro") {
      const codes = scheme.name === "uint4" ? 16 : 256;
      counts = [...new Array(first).fill(0), ...counts, ...new Array(codes - last).fill(0)];
      [first, last] = [0, codes];
    }
    const bits = tensors.length === 1 ? tensors[0].schemes[scheme.name].bits_per_weight : scheme.bits_per_weight;
    panels.push(make("figure", {}, make("figcaption", {}, scheme.title + " ", make("span", {},
      "entropy " + entropy(counts).toFixed(2) + (tensors.length === 1 ? "" : " as one table") + ", " + bits.toFixed(2) + " bits in the archive")),
      bars(counts, first, last, ticks(first, last - 1, 6), null, "var(--" + family(scheme) + ")")));
  }
  byId("histograms").replaceChildren(...panels);
}

function showMatrix(index) {
  byId("shown-matrix").value = String(index);
  showHistograms();
  byId("histogram-section").scrollIntoView({behavior: "smooth"});
}

const columns = [
  [commonStart === "" ? "matrix" : commonStart + "*", (row) => row.tensor.name],
  ["bits", (row) => row.cost.bits_per_weight, (row) => row.cost.bits_per_weight.toFixed(3)],
  ["SQNR dB", (row) => (row.cost.sqnr_db === null ? Infinity : row.cost.sqnr_db), (row) => decibels(row.cost.sqnr_db)],
  ["entropy", (row) => row.cost.entropy_bits, (row) => row.cost.entropy_bits.toFixed(3)],
  ["lossless bits", (row) => row.tensor.schemes.lossless.bits_per_weight,
   (row) => row.tensor.schemes.lossless.bits_per_weight.toFixed(2)],
  ["shape", (row) => row.tensor.weights, (row) => row.tensor.shape.join(" \u00d7 ")],
  ["rms", (row) => row.tensor.rms, (row) => row.tensor.rms.toPrecision(3)],
  ["kurtosis", (row) => row.tensor.kurtosis, (row) => row.tensor.kurtosis.toFixed(1)],
  ["outlier columns", (row) => row.tensor.outlier_columns],
];
const order = {column: 2, down: false};

function showMatrices() {
  const scheme = byId("shown-scheme").value, part = byId("filter").value.toLowerCase();
  const rows = data.tensors.map((tensor, index) => ({tensor, index, cost: tensor.schemes[scheme]}));
  const key = columns[order.column][1];
  rows.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.index - b.index) * (order.down ? -1 : 1));
  const heads = columns.map(([title], i) => make("th", {scope: "col",
    "aria-sort": i === order.column ? (order.down ? "descending" : "ascending") : null},
    make("button", {onclick: () => {
      order.down = order.column === i ? !order.down : false;
      order.column = i;
      showMatrices();
    }}, title)));
  const lines = rows.filter((row) => row.tensor.name.toLowerCase().includes(part)).map((row) => make("tr", {},
    make("th", {scope: "row"}, make("button", {title: row.tensor.name, onclick: () => showMatrix(row.index)}, short(row.tensor.name))),
    ...columns.slice(1).map(([title, value, text]) => make("td",
      {class: title === "SQNR dB" && value(row) < 10 ? "bad" : null}, String((text || value)(row))))));
  byId("matrices").replaceChildren(make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...lines));

  const worst = rows.filter((row) => row.cost.sqnr_db !== null).sort((a, b) => a.cost.sqnr_db - b.cost.sqnr_db).slice(0, 5);
  const names = worst.flatMap((row, i) => [i > 0 ? ", " : "",
    make("button", {onclick: () => showMatrix(row.index)}, short(row.tensor.name)), " (" + decibels(row.cost.sqnr_db) + " dB)"]);
  byId("worst").replaceChildren(...(names.length > 0 ? ["Worst: ", ...names] : ["Nothing is lost."]));
}

function start() {
  showFacts();
  showSchemes();
  if (data.warnings.length > 0) {
    byId("warnings").hidden = false;
    byId("warnings").querySelector("ul").append(...data.warnings.map((warning) => make("li", {}, warning)));
  }
  if (data.tensors.length === 0) {
    for (const id of ["curve-section", "histogram-section", "matrix-section"]) byId(id).hidden = true;
    return;
  }
  byId("shown-matrix").append(make("option", {value: "all"}, "all matrices"),
    ...data.tensors.map((tensor, i) => make("option", {value: i}, tensor.name)));
  byId("shown-scheme").append(...data.schemes.map((scheme) => make("option", {value: scheme.name}, scheme.title)));
  byId("shown-scheme").value = (rates.find((scheme) => data.tensors[0].symbols[scheme.name]) || quantized[0]).name;
  byId("shown-matrix").addEventListener("change", showHistograms);
  byId("shown-scheme").addEventListener("change", showMatrices);
  byId("filter").addEventListener("input", showMatrices);
  const redraw = () => { showCurve(); showHistograms(); };
  window.addEventListener("resize", redraw);
  showFinding();
  redraw();
  showMatrices();
}
start();
