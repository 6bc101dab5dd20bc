// The dashboard's script: swaps what has changed on the page, draws charts, and tells news to screen readers.
// Without it every page shows all there is, as it was when it was loaded.
"use strict";

(() => {
  const main = document.getElementById("main");
  const news = document.getElementById("news");
  const connection = document.getElementById("connection");
  const pages = main.dataset.events;
  let source = null;
  let isPaused = false;

  // ---- times, in the reader's own zone

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

  function localize(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      const isToday = moment.toDateString() === new Date().toDateString();
      time.textContent = (isToday ? clock : day).format(moment);
      time.title = day.format(moment);
    }
  }

  // ---- swapping: what is the same stays, and with it focus, selection and scroll

  // What tells an element from others of its kind.
  const key = (node) =>
    node.nodeType === Node.ELEMENT_NODE
      ? node.id || node.getAttribute("aria-labelledby") || node.getAttribute("aria-label") || ""
      : "";

  const isSame = (one, other) => one.nodeName === other.nodeName && key(one) === key(other);

  function swap(one, other) {
    if (one.nodeType !== Node.ELEMENT_NODE) {
      if (one.nodeValue !== other.nodeValue) one.nodeValue = other.nodeValue;
      return;
    }
    if (one.hasAttribute("data-keep")) return;
    for (const { name } of [...one.attributes]) {
      if (!other.hasAttribute(name)) one.removeAttribute(name);
    }
    for (const { name, value } of other.attributes) {
      if (one.getAttribute(name) !== value) one.setAttribute(name, value);
    }
    // What someone is typing is theirs.
    if (!one.matches("select, textarea")) swapChildren(one, other);
  }

  function swapChildren(one, other) {
    let old = one.firstChild;
    for (const fresh of [...other.childNodes]) {
      let match = old;
      while (match && !isSame(match, fresh)) match = match.nextSibling;
      if (!match) {
        one.insertBefore(fresh, old);
        continue;
      }
      while (old !== match) {
        const next = old.nextSibling;
        old.remove();
        old = next;
      }
      swap(old, fresh);
      old = old.nextSibling;
    }
    while (old) {
      const next = old.nextSibling;
      old.remove();
      old = next;
    }
  }

  // ---- news: what a screen reader tells when it has become another

  const told = new Map();

  function tell(isFirst) {
    const lines = [...main.querySelectorAll("[data-news]")].map((it) => it.dataset.news);
    const fresh = lines.filter((line) => !told.has(line));
    told.clear();
    for (const line of lines) told.set(line, true);
    if (!isFirst && fresh.length > 0) news.textContent = fresh.join(". ");
  }

  // ---- charts

  const charts = new Map();
  let points = null;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function faint(name) {
    const band = Number(color("band")) || 0.15;
    return `color-mix(in srgb, ${color(name)} ${band * 100}%, transparent)`;
  }

  const written = (value, unit) => (value == null ? "" : `${Number(value.toPrecision(3))}${unit}`);
  const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const stepped = () => uPlot.paths.stepped({ align: 1 });

  const line = (name, more) => ({ stroke: color(name), width: 2, points: { show: false }, ...more });

  // The least or greatest of what both versions really did; their intervals may reach beyond the picture.
  const extreme = (key, choose, otherwise) =>
    ["primary", "canary"].flatMap((arm) => points[arm][key]).filter((it) => it != null).reduce((a, b) => choose(a, b), otherwise);

  // Both versions, each with a line and the band of its interval. The new one is dashed.
  function versions(key, low, high) {
    const series = [{}];
    const bands = [];
    for (const [arm, dash] of [["primary", []], ["canary", [6, 4]]]) {
      const at = series.length;
      const bound = { stroke: "transparent", width: 0, points: { show: false } };
      series.push(line(arm, { dash }), bound, { ...bound });
      bands.push({ series: [at + 1, at + 2], fill: faint(arm) });
    }
    const columns = (all) => [
      all.time,
      ...["primary", "canary"].flatMap((arm) => [all[arm][key], all[arm][high], all[arm][low]]),
    ];
    return { series, bands, columns };
  }

  const kinds = {
    weight: () => ({
      series: [
        {},
        line("canary", { fill: faint("canary"), paths: stepped() }),
        line("busy", { dash: [2, 4], paths: stepped() }),
      ],
      scale: { range: [0, 102] },
      unit: " %",
      columns: (all) => [all.time, all.weight, all.mirror],
    }),
    evidence: () => ({
      series: [
        {},
        line("canary", {}),
        line("bad", { dash: [8, 6] }),
      ],
      scale: { distr: 3, range: (_, low, high) => [Math.min(0.1, low || 0.1), Math.max(1000, (high || 1) * 2)] },
      splits: (_, __, low, high) => {
        const all = [-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 9, 12, 15].map((power) => 10 ** power);
        return all.filter((it) => it >= low && it <= high);
      },
      unit: "×",
      columns: (all) => [all.time, all.evidence, all.threshold],
    }),
    success: () => ({
      ...versions("success", "successLow", "successHigh"),
      scale: { range: () => [Math.max(0, Math.floor((Math.min(99, extreme("success", Math.min, 100)) - 3) / 5) * 5), 100.5] },
      unit: " %",
    }),
    latency: () => ({
      ...versions("p99", "p99Low", "p99High"),
      scale: { range: () => [0, Math.max(10, extreme("p99", Math.max, 0) * 1.25)] },
      unit: " ms",
    }),
  };

  // Writes the values under the cursor, or the last ones, beside the names of the lines.
  function read(plot, place, unit) {
    const at = plot.cursor.idx ?? plot.data[0].length - 1;
    for (const out of place.parentElement.querySelectorAll("output[data-series]")) {
      out.textContent = written(plot.data[Number(out.dataset.series)][at], unit);
    }
  }

  function draw() {
    if (!points || typeof uPlot === "undefined") return;
    for (const place of main.querySelectorAll("[data-chart]")) {
      let known = charts.get(place.id);
      if (known && known.place !== place) {
        known.plot.destroy();
        known = null;
      }
      const kind = known ? known.kind : kinds[place.dataset.chart]();
      const data = kind.columns(points);
      if (known) {
        known.plot.setData(data);
        read(known.plot, place, kind.unit);
        continue;
      }
      const axis = { stroke: color("quiet"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
      const percent = (_, all) => all.map((it) => (it == null ? "" : written(it, kind.unit)));
      const upright = { ...axis, size: 64, values: percent, ...(kind.splits ? { splits: kind.splits } : {}) };
      const label = (it, incr) => (incr < 60 ? clock : minute).format(new Date(it * 1000));
      const times = { ...axis, size: 30, space: 90, values: (_, all, __, ___, incr) => all.map((it) => label(it, incr)) };
      const plot = new uPlot(
        {
          width: place.clientWidth,
          height: place.clientHeight,
          series: kind.series,
          bands: kind.bands || [],
          scales: { y: kind.scale },
          axes: [times, upright],
          legend: { show: false },
          hooks: { setCursor: [(it) => read(it, place, kind.unit)] },
        },
        data,
        place,
      );
      read(plot, place, kind.unit);
      charts.set(place.id, { plot, kind, place });
    }
  }

  function redraw() {
    for (const { plot } of charts.values()) plot.destroy();
    charts.clear();
    draw();
  }

  // Appends columns to columns; an hour of them is kept.
  function append(all, more) {
    for (const [key, value] of Object.entries(more)) {
      if (Array.isArray(value)) {
        all[key].push(...value);
        all[key].splice(0, all[key].length - 3600);
      } else {
        append(all[key], value);
      }
    }
  }

  // ---- following the page

  function state(word) {
    connection.dataset.state = word;
  }

  function follow() {
    if (!pages || isPaused || document.hidden || source) return;
    source = new EventSource(pages);
    points = null;
    source.onopen = () => state("live");
    source.onerror = () => {
      state("lost");
      if (source && source.readyState === EventSource.CLOSED) {
        stop();
        setTimeout(follow, 3000);
      }
    };
    source.addEventListener("main", (event) => {
      const fresh = new DOMParser().parseFromString(`<main>${event.data}</main>`, "text/html").querySelector("main");
      localize(fresh);
      swapChildren(main, fresh);
      tell(false);
      draw();
    });
    source.addEventListener("points", (event) => {
      const more = JSON.parse(event.data);
      if (points) append(points, more);
      else points = more;
      draw();
    });
  }

  function stop() {
    if (source) source.close();
    source = null;
  }

  main.addEventListener("click", (event) => {
    const button = event.target.closest("[data-pause]");
    if (!button) return;
    isPaused = !isPaused;
    button.setAttribute("aria-pressed", String(isPaused));
    if (isPaused) {
      stop();
      state("paused");
    } else {
      follow();
    }
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stop();
    else follow();
  });

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new ResizeObserver(() => {
    for (const { plot, place } of charts.values()) {
      if (plot.width !== place.clientWidth) plot.setSize({ width: place.clientWidth, height: place.clientHeight });
    }
  }).observe(main);

  localize(document);
  tell(true);
  follow();
})();
