"use strict";
// Draws the run that the page carries as JSON; see the struct Timeline for its shape.
(() => {
  const run = JSON.parse(document.getElementById("run").textContent);
  const host = document.getElementById("timeline");
  const list = document.getElementById("events");
  const NS = "http://www.w3.org/2000/svg";
  const GUTTER = 84, ROW = 22, IRQL = 34, GAP = 14, AXIS = 38, OVERVIEW = 26, EDGE = 12;
  const LEVELS = { 0: "PASSIVE", 1: "APC", 2: "DISPATCH", 15: "HIGH" };
  const level = (irql) => LEVELS[irql] ?? `DIRQL ${irql}`;
  const moment = run.marks.length ? run.marks[0].at : run.length - 1;

  // Vertical places, fixed for the page.
  let y = AXIS;
  for (const lane of run.lanes) {
    lane.levels = [...new Set(lane.irql.map(([, irql]) => irql))].sort((a, b) => a - b);
    lane.top = y;
    lane.irqlTop = y + 4;
    lane.callbackTop = lane.irqlTop + IRQL + 6;
    lane.lockTop = lane.callbackTop + lane.depth * ROW + 4;
    lane.bottom = lane.lockTop + lane.lock_rows * ROW + 4;
    y = lane.bottom + GAP;
  }
  const overviewTop = y, height = y + OVERVIEW + 10;
  const laneOf = new Map(run.lanes.map((lane) => [lane.processor, lane]));

  let width = 800, scale = 1, left = 0, current = moment;
  const plot = () => width - GUTTER - EDGE;
  const x = (at) => GUTTER + (at + 0.5 - left) * scale;
  const least = () => Math.min(plot() / Math.max(run.length, 1), 40);

  function make(parent, name, attributes, text) {
    const node = document.createElementNS(NS, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  // A text that fits into so many pixels, or nothing.
  function fitted(text, pixels) {
    const letters = Math.floor((pixels - 8) / 7.3);
    if (letters >= text.length) return text;
    return letters >= 4 ? text.slice(0, letters - 1) + "…" : "";
  }

  const time = (at) => {
    const ns = run.times[Math.max(0, Math.min(run.length - 1, Math.round(at)))] ?? 0;
    return `${Math.floor(ns / 1000).toLocaleString("en")}.${String(ns % 1000).padStart(3, "0")} µs`;
  };

  function bar(svg, shape, from, to, top, tip, label, labelClass) {
    const begin = Math.max(x(from), GUTTER - 2), end = Math.min(x(to), width - EDGE + 2);
    if (end < GUTTER || begin > width - EDGE) return;
    const box = make(svg, "rect", { class: shape, x: begin, y: top, rx: 3,
      width: Math.max(end - begin, 2), height: ROW - 4 });
    box.dataset.tip = tip;
    box.dataset.at = from;
    const words = fitted(label, end - begin);
    if (words) make(svg, "text", { class: labelClass, x: begin + 5, y: top + 13 }, words);
  }

  function drawIrql(svg, lane) {
    const place = (irql) => {
      const at = lane.levels.indexOf(irql), last = Math.max(lane.levels.length - 1, 1);
      return lane.irqlTop + IRQL - 3 - (at / last) * (IRQL - 8);
    };
    let path = "", last = null;
    for (let i = 0; i < lane.irql.length; i += 1) {
      const [at, irql] = lane.irql[i];
      const until = i + 1 < lane.irql.length ? lane.irql[i + 1][0] : run.length;
      if (until < left || at > left + plot() / scale) continue;
      const from = Math.max(x(at), GUTTER), to = Math.min(x(until), width - EDGE);
      path += `${path ? "V" + place(irql) : "M" + from + " " + place(irql)}H${to}`;
      const box = make(svg, "rect", { x: from, y: lane.irqlTop, height: IRQL, fill: "transparent",
        width: Math.max(to - from, 0) });
      box.dataset.tip = `${level(irql)} from event ${at}`;
      box.dataset.at = at;
      const words = fitted(level(irql), to - from);
      if (words && last !== irql) {
        const high = place(irql) < lane.irqlTop + IRQL / 2;
        make(svg, "text", { class: "soft", x: from + 4, y: place(irql) + (high ? 12 : -3) }, words);
      }
      last = irql;
    }
    if (path) make(svg, "path", { class: "irql", d: path });
  }

  function drawLane(svg, lane) {
    make(svg, "line", { class: "rule", x1: 0, x2: width, y1: lane.top - GAP / 2, y2: lane.top - GAP / 2 });
    drawIrql(svg, lane);
    for (const call of lane.callbacks) {
      const tip = `${call.label}\nevents ${call.from} to ${call.to}${call.ended ? "" : "; never returns"}`;
      bar(svg, `callback${call.ended ? "" : " open"}`, call.from, call.to,
        lane.callbackTop + call.row * ROW, tip, call.label, "");
    }
    for (const lock of lane.locks) {
      const top = lane.lockTop + lock.row * ROW;
      const who = lock.port ? "taken by StorPort" : `asked for at ${lock.site || "StorPort"}`;
      const end = lock.released ? `released at ${lock.release_site || "StorPort"}` : "never released";
      const tip = `${lock.label}: ${who}\n${lock.taken === null ? "never taken" : end}`;
      const taken = lock.taken ?? lock.to;
      if (taken > lock.asked) bar(svg, `wait ${lock.class}`, lock.asked, taken, top, `waits for ${tip}`, "", "");
      if (lock.taken !== null) {
        bar(svg, `hold ${lock.class}${lock.port ? " port" : ""}${lock.released ? "" : " open"}`, taken, lock.to,
          top, tip, lock.label, lock.port ? "on-port" : "on-lock");
      }
    }
  }

  function drawArrow(svg, arrow) {
    const from = laneOf.get(arrow.from[0]), to = laneOf.get(arrow.to[0]);
    const [x1, x2] = [x(arrow.from[1]), x(arrow.to[1])];
    if (!from || !to || Math.max(x1, x2) < GUTTER || Math.min(x1, x2) > width - EDGE) return;
    const y1 = from.callbackTop - 4, y2 = to.callbackTop - 4, lift = from === to ? 16 : 0;
    const shape = make(svg, "path", { class: "arrow",
      d: `M${x1} ${y1}C${x1 + 14} ${y1 - lift} ${x2 - 14} ${y2 - lift} ${x2} ${y2}` });
    make(svg, "path", { class: "arrow-head", d: `M${x2} ${y2}l-4 -7h8z` });
    const grip = make(svg, "circle", { cx: x1, cy: y1, r: 4, class: "arrow-head" });
    for (const part of [shape, grip]) { part.dataset.tip = arrow.label; part.dataset.at = arrow.from[1]; }
  }

  function drawMarks(svg) {
    const named = [];
    for (const mark of run.marks) {
      const lane = laneOf.get(mark.processor), at = x(mark.at);
      if (at < GUTTER || at > width - EDGE) continue;
      const line = make(svg, "line", { class: "violation", x1: at, x2: at, y1: AXIS - 4, y2: overviewTop - 4 });
      line.dataset.tip = mark.text;
      if (lane) make(svg, "circle", { class: "violation", cx: at, cy: lane.callbackTop - 4, r: 5, fill: "none" });
      // Where names would lie on each other, the first one stands; the line itself tells the rest.
      const right = at > width - 220, long = mark.rule.length * 8.5 + 12;
      const [from, to] = right ? [at - long, at] : [at, at + long];
      if (named.some(([a, b]) => from < b && a < to)) continue;
      named.push([from, to]);
      make(svg, "text", { class: "violation-text", x: right ? at - 6 : at + 6, y: AXIS - 9,
        "text-anchor": right ? "end" : "start" }, mark.rule);
    }
    if (x(current) >= GUTTER && x(current) <= width - EDGE) {
      make(svg, "line", { class: "cursor", x1: x(current), x2: x(current), y1: AXIS - 4, y2: overviewTop - 4 });
    }
  }

  function drawAxis(svg) {
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((n) => n * scale >= 150) ?? 10000;
    for (let at = Math.ceil(left / step) * step; at < Math.min(left + plot() / scale, run.length); at += step) {
      if (x(at) > width - EDGE - 110) break;
      make(svg, "line", { class: "rule", x1: x(at), x2: x(at), y1: AXIS - 6, y2: overviewTop - 4 });
      make(svg, "text", { class: "axis", x: x(at) + 3, y: 12 }, time(at));
    }
  }

  function drawOverview(svg) {
    const place = (at) => GUTTER + (at / Math.max(run.length, 1)) * plot();
    make(svg, "text", { class: "axis", x: 8, y: overviewTop + 17 }, "whole run");
    for (const lane of run.lanes) {
      for (const call of lane.callbacks) {
        if (call.row > 0) continue;
        make(svg, "rect", { class: "overview", x: place(call.from), y: overviewTop + 4,
          width: Math.max(place(call.to) - place(call.from), 0.6), height: OVERVIEW - 8 });
      }
    }
    const shown = plot() / scale;
    const box = make(svg, "rect", { class: "window", x: place(left), y: overviewTop, height: OVERVIEW,
      width: Math.min(place(left + shown), width - EDGE) - place(left) });
    box.dataset.overview = "1";
    for (const mark of run.marks) {
      make(svg, "line", { class: "violation", x1: place(mark.at), x2: place(mark.at), y1: overviewTop,
        y2: overviewTop + OVERVIEW });
    }
  }

  function drawGutter(svg) {
    make(svg, "rect", { x: 0, y: AXIS - 8, width: GUTTER - 1, height: overviewTop - AXIS, fill: "var(--panel)" });
    make(svg, "text", { class: "axis", x: 8, y: 12 }, "virtual time");
    for (const lane of run.lanes) {
      make(svg, "text", { x: 8, y: lane.irqlTop + 14 }, `cpu ${lane.processor}`);
      make(svg, "text", { class: "soft", x: 8, y: lane.irqlTop + 29 }, "IRQL");
      if (lane.depth) make(svg, "text", { class: "soft", x: 8, y: lane.callbackTop + 13 }, "callbacks");
      if (lane.lock_rows) make(svg, "text", { class: "soft", x: 8, y: lane.lockTop + 13 }, "locks");
    }
  }

  function draw() {
    left = Math.max(Math.min(left, run.length - plot() / scale), 0);
    const svg = document.createElementNS(NS, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    const defs = make(svg, "defs", {});
    const hatch = make(defs, "pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse",
      patternTransform: "rotate(45)" });
    make(hatch, "rect", { width: 3, height: 6, fill: "var(--mark)", "fill-opacity": 0.35 });
    drawAxis(svg);
    for (const lane of run.lanes) drawLane(svg, lane);
    for (const arrow of run.arrows) drawArrow(svg, arrow);
    drawMarks(svg);
    drawGutter(svg);
    drawOverview(svg);
    host.replaceChildren(svg);
  }

  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }

  function zoom(factor, around) {
    const at = left + (around - GUTTER) / scale;
    scale = Math.min(Math.max(scale * factor, least()), 120);
    left = at - (around - GUTTER) / scale;
    redraw();
  }

  function show(at, middle) {
    current = Math.max(0, Math.min(run.length - 1, at));
    const shown = plot() / scale;
    if (middle || current < left || current > left + shown - 1) left = current - shown * 0.6;
    redraw();
    const top = current * 20;
    if (top < list.scrollTop || top > list.scrollTop + list.clientHeight - 40) {
      list.scrollTop = top - list.clientHeight / 2;
    }
    rows();
  }

  // The list of events: only what is in sight exists.
  const spacer = document.createElement("div");
  spacer.style.height = `${run.length * 20}px`;
  list.appendChild(spacer);
  const marked = new Set(run.marks.map((mark) => mark.at));
  function rows() {
    const first = Math.max(0, Math.floor(list.scrollTop / 20) - 5);
    const last = Math.min(run.length, first + Math.ceil(list.clientHeight / 20) + 10);
    const parts = [spacer];
    for (let at = first; at < last; at += 1) {
      const { processor, irql, depth, what, site } = run.rows[at];
      const row = document.createElement("div");
      row.className = `row${marked.has(at) ? " marked" : ""}${at === current ? " current" : ""}`;
      row.style.top = `${at * 20}px`;
      row.dataset.at = at;
      for (const [text, quiet] of [[at, 1], [time(at), 1], [`cpu ${processor}`, 1], [level(irql), 1],
        ["  ".repeat(depth) + what, 0], [site, 1]]) {
        const cell = document.createElement("span");
        if (quiet) cell.className = "quiet";
        cell.textContent = text;
        cell.title = String(text).trim();
        row.appendChild(cell);
      }
      parts.push(row);
    }
    list.replaceChildren(...parts);
  }
  list.addEventListener("scroll", rows);
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) show(Number(row.dataset.at), false);
  });

  // Pointer and keyboard.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.appendChild(tip);
  let drag = null;
  host.addEventListener("pointerdown", (event) => {
    const area = host.getBoundingClientRect();
    const inOverview = event.clientY - area.top > overviewTop;
    drag = { x: event.clientX, left, inOverview, moved: false, target: event.target };
    host.setPointerCapture(event.pointerId);
  });
  host.addEventListener("pointermove", (event) => {
    const area = host.getBoundingClientRect();
    if (drag) {
      const by = event.clientX - drag.x;
      drag.moved ||= Math.abs(by) > 3;
      if (drag.moved) {
        host.classList.add("dragging");
        left = drag.left + (drag.inOverview ? (by / plot()) * run.length : -by / scale);
        redraw();
      }
    }
    const under = document.elementFromPoint(event.clientX, event.clientY);
    const text = under && host.contains(under) ? under.dataset.tip : undefined;
    tip.hidden = !text || Boolean(drag && drag.moved);
    if (!tip.hidden) {
      tip.textContent = text;
      const box = tip.getBoundingClientRect();
      tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
      tip.style.top = `${Math.min(event.clientY + 16, innerHeight - box.height - 8)}px`;
    }

  });
  host.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) {
      const area = host.getBoundingClientRect(), at = event.clientX - area.left;
      if (drag.inOverview) {
        left = ((at - GUTTER) / plot()) * run.length - plot() / scale / 2;
        redraw();
      } else if (drag.target.dataset.at) {
        show(Number(drag.target.dataset.at), false);
      }
    }
    drag = null;
    host.classList.remove("dragging");
  });
  host.addEventListener("pointerleave", () => { tip.hidden = true; });
  host.addEventListener("wheel", (event) => {
    event.preventDefault();
    const area = host.getBoundingClientRect();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      left += (event.deltaX || event.deltaY) / scale;
      redraw();
    } else {
      zoom(Math.exp(-event.deltaY / 400), Math.max(event.clientX - area.left, GUTTER));
    }
  }, { passive: false });
  host.addEventListener("keydown", (event) => {
    const third = plot() / scale / 3, middle = GUTTER + plot() / 2;
    const keys = {
      ArrowLeft: () => { left -= third; redraw(); },
      ArrowRight: () => { left += third; redraw(); },
      ArrowUp: () => show(current - 1, false),
      ArrowDown: () => show(current + 1, false),
      Home: () => { left = 0; redraw(); },
      End: () => { left = run.length; redraw(); },
      "+": () => zoom(1.4, middle),
      "=": () => zoom(1.4, middle),
      "-": () => zoom(1 / 1.4, middle),
      v: () => show(moment, true),
      f: () => { scale = least(); left = 0; redraw(); },
    };
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  function fit() {
    width = Math.max(host.clientWidth, 480);
    scale = Math.max(scale, least());
    redraw();
  }
  new ResizeObserver(fit).observe(host);
  width = Math.max(host.clientWidth, 480);
  scale = Math.max(least(), Math.min(28, plot() / Math.min(run.length, 60)));
  show(moment, true);
})();
