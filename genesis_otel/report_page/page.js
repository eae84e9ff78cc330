"use strict";
// Draws what lies in the element `data`. Every text is set as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const points = data.points, byId = new Map(points.map((each) => [each.individual_id, each]));
  const touch = matchMedia("(pointer: coarse)").matches;
  let axis = "generation";
  // Plotly reads a little markup in texts: a tag in a name is shown as it was written.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const wheel = () => ["one", "warm", "violet", "good", "bad", "grey"].map(color);

  // Time in the unit that the run's length asks for.
  const whole = Math.max(1e-9, ...[points[points.length - 1], data.calls[data.calls.length - 1]].map((each) => (each ? each.seconds : 0)));
  const [unit, divisor] = whole > 7200 ? ["hours", 3600] : whole > 120 ? ["minutes", 60] : ["seconds", 1];
  const since = unit + " since its start", time = (each) => each.seconds / divisor;
  // A mean says something where a generation has several individuals.
  const meant = points.length > 1.5 * data.generations.length;

  function layout(x, y, more) {
    const line = { gridcolor: color("line"), zerolinecolor: color("line"), linecolor: color("line"), automargin: true };
    return Object.assign({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
      font: { color: color("text"), size: 12, family: "system-ui, sans-serif" },
      margin: { l: 52, r: 16, t: 16, b: 40 },
      xaxis: Object.assign({ title: { text: x } }, line), yaxis: Object.assign({ title: { text: y } }, line),
      legend: { orientation: "h", y: 1.08, x: 0, yanchor: "bottom" }, dragmode: touch ? false : "zoom",
      hoverlabel: { bgcolor: color("card"), bordercolor: color("line"), font: { color: color("text") } },
    }, more || {});
  }

  const labels = { generation: "generation", seconds: since, spent: "USD spent" };
  const at = (each) => (axis === "seconds" ? time(each) : each[axis]);

  // What happened lies where the search was when it happened: generations overlap, and one that is late is no step back.
  const reached = (each) => (axis === "generation" ? each.reached : at(each));

  function bestSoFar(all) {
    const known = all.filter((each) => each.best_so_far !== null);
    return { x: known.map(reached), y: known.map((each) => each.best_so_far) };
  }

  function bestOfIsland(island) {
    const all = points.filter((each) => each.island === island && each.score !== null), y = [];
    for (const each of all) {
      const best = y.length ? y[y.length - 1] : each.score;
      y.push(data.better * each.score > data.better * best ? each.score : best);
    }
    return { x: all.map(time), y };
  }

  const draw = {
    trajectory(node) {
      const kinds = [...new Set(points.map((each) => each.mutation_type))];
      const colors = wheel();
      const traces = kinds.map((kind, n) => {
        const all = points.filter((each) => each.mutation_type === kind && each.score !== null);
        return { type: "scatter", mode: "markers", name: plain(kind || "?"), x: all.map(at), y: all.map((each) => each.score),
          text: all.map((each) => plain(each.individual_id)), customdata: all.map((each) => each.individual_id),
          hovertemplate: "%{text}<br>%{y}<extra></extra>", marker: { size: 5, opacity: 0.55, color: colors[n % colors.length] } };
      });
      traces.push(Object.assign({ type: "scatter", mode: "lines", name: "best so far", hoverinfo: "skip",
        line: { color: color("good"), width: 2.5, shape: "hv" } }, bestSoFar(points)));
      if (axis === "generation") {
        if (meant) traces.push({ type: "scatter", mode: "lines", name: "mean", x: data.generations.map((each) => each.generation),
          y: data.generations.map((each) => each.avg_score), hoverinfo: "skip", line: { color: color("mute"), width: 1, dash: "dot" } });
      }
      for (const [run, climb] of Object.entries(data.others)) {
        traces.push(Object.assign({ type: "scatter", mode: "lines", name: plain(run), hovertemplate: "%{y}<extra></extra>",
          line: { width: 1.5, shape: "hv", dash: "dash" } }, bestSoFar(climb)));
      }
      const stars = points.filter((each) => each.improved);
      traces.push({ type: "scatter", mode: "markers", name: "breakthrough", x: stars.map(reached), y: stars.map((each) => each.score),
        text: stars.map((each) => plain(each.individual_id)), customdata: stars.map((each) => each.individual_id),
        hovertemplate: "%{text}<br>%{y}<extra></extra>", marker: { size: 11, symbol: "star", color: color("good") } });
      return [traces, layout(labels[axis], "score")];
    },
    cost(node) {
      return [[{ type: "scatter", mode: "lines", x: points.map(time), y: points.map((each) => each.spent),
        fill: "tozeroy", line: { color: color("warm") }, hovertemplate: "%{y:$.4f}<extra></extra>" }],
      layout(since, "USD so far", { showlegend: false })];
    },
    throughput(node) {
      const last = points.length ? points[points.length - 1].seconds : 1, wide = last / data.throughput.length || 1;
      return [[{ type: "bar", x: data.throughput.map((_, n) => (n + 0.5) * wide / divisor), y: data.throughput.map((each) => each / wide * 60),
        marker: { color: color("one") }, hovertemplate: "%{y:.2f} a minute<extra></extra>" }],
      layout(since, "individuals a minute", { showlegend: false, bargap: 0.1 })];
    },
    latency(node) {
      const colors = wheel(), models = [...new Set(data.calls.map((each) => each.model))];
      const traces = models.map((model, n) => {
        const all = data.calls.filter((each) => each.model === model);
        return { type: "scatter", mode: "markers", name: plain(model), x: all.map(time),
          y: all.map((each) => each.execution_time), text: all.map((each) => plain(each.role + (each.status === "ok" ? "" : ", failed"))),
          hovertemplate: "%{y:.2f} s<br>%{text}<extra></extra>",
          marker: { size: 6, opacity: 0.6, color: colors[n % colors.length], symbol: all.map((each) => (each.status === "ok" ? "circle" : "x")) } };
      });
      return [traces, layout(since, "seconds a call")];
    },
    pareto(node) {
      const x = document.getElementById("front-x").value, y = document.getElementById("front-y").value;
      const all = front.filter((each) => x in each.values && y in each.values).sort((a, b) => a.values[x] - b.values[x]);
      return [[{ type: "scatter", mode: "lines+markers", x: all.map((each) => each.values[x]), y: all.map((each) => each.values[y]),
        text: all.map((each) => plain(each.individual_id)), customdata: all.map((each) => each.individual_id),
        hovertemplate: "%{text}<br>%{x}, %{y}<extra></extra>", line: { color: color("one"), width: 1, dash: "dot" },
        marker: { size: 9, color: color("one") } }], layout(plain(x), plain(y), { showlegend: false })];
    },
    fronts(node) {
      return [[{ type: "scatter", mode: "lines", x: data.fronts.map((each) => each.generation), y: data.fronts.map((each) => each.pareto_size),
        line: { color: color("violet"), shape: "hv" }, hovertemplate: "%{y}<extra></extra>" }],
      layout("generation", "individuals on the front", { showlegend: false })];
    },
    islands(node) {
      const colors = wheel();
      return [data.islands.map((island, n) => Object.assign({ type: "scatter", mode: "lines", name: plain("island " + island),
        line: { color: colors[n % colors.length], width: 2, shape: "hv" }, hovertemplate: "%{y}<extra></extra>" },
      bestOfIsland(island))), layout(since, "best score so far")];
    },
    tree(node) {
      const known = new Map(data.tree.map((each) => [each.id, each]));
      const edges = (best) => {
        const x = [], y = [];
        for (const each of data.tree) {
          const parent = known.get(each.parent);
          if (!parent || (each.best && parent.best) !== best) continue;
          x.push(parent.x, each.x, null); y.push(parent.generation, each.generation, null);
        }
        return { x, y };
      };
      const nodes = (best) => {
        const all = data.tree.filter((each) => each.best === best);
        return { type: "scatter", mode: "markers", x: all.map((each) => each.x), y: all.map((each) => each.generation),
          text: all.map((each) => plain(each.id + "\n" + each.how).replace("\n", "<br>")), customdata: all.map((each) => each.id),
          hovertemplate: "%{text}<br>%{marker.color}<extra></extra>", showlegend: false,
          marker: { size: best ? 13 : 8, color: all.map((each) => each.score), colorscale: "Viridis", showscale: best,
            cmin: lowest, cmax: highest, colorbar: { title: { text: "score" }, thickness: 10, len: 0.6 },
            line: { width: best ? 2.5 : 0, color: color("good") } } };
      };
      const scores = data.tree.map((each) => each.score).filter((each) => each !== null);
      const lowest = Math.min(...scores), highest = Math.max(...scores);
      const made = layout("", "generation", { showlegend: false });
      Object.assign(made.xaxis, { showticklabels: false, showgrid: false, zeroline: false });
      Object.assign(made.yaxis, { autorange: "reversed", zeroline: false });
      return [[
        Object.assign({ type: "scatter", mode: "lines", hoverinfo: "skip", line: { color: color("grey"), width: 1 } }, edges(false)),
        Object.assign({ type: "scatter", mode: "lines", hoverinfo: "skip", line: { color: color("good"), width: 3 } }, edges(true)),
        nodes(false), nodes(true),
      ], made];
    },
  };

  // --- the front: numbers among its metrics, by name
  const front = data.front.map((each) => {
    const values = { fitness_score: each.fitness_score, combined_score: each.combined_score };
    try {
      for (const [name, value] of Object.entries(JSON.parse(each.metrics))) if (typeof value === "number") values[name] = value;
    } catch (error) { /* metrics that are no JSON have no axes */ }
    return { individual_id: each.individual_id, values };
  });
  if (front.length) {
    const names = [...new Set(front.flatMap((each) => Object.keys(each.values).reverse()))];
    names.sort((a, b) => Number(a.endsWith("_score")) - Number(b.endsWith("_score")));
    ["x", "y"].forEach((which, n) => {
      const select = document.getElementById("front-" + which);
      for (const name of names) select.add(new Option(name, name));
      select.selectedIndex = Math.min(n, names.length - 1);
      select.addEventListener("change", () => show(document.querySelector('[data-plot="pareto"]')));
    });
  }

  function pick(id) {
    const each = byId.get(id), box = document.getElementById("picked"), list = box.querySelector("dl");
    if (!each) return;
    list.replaceChildren();
    const told = { id: each.individual_id, generation: each.generation, score: each.score, status: each.status, made: each.mutation_type,
      parent: each.parent_id || "none", island: each.island || "none", cost: "$" + (each.cost || 0).toFixed(4) + (each.unpriced ? " + " + each.unpriced + " unpriced" : ""), trace: each.trace_id };
    for (const [name, value] of Object.entries(told)) {
      const cell = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name; text.textContent = String(value);
      cell.append(term, text); list.append(cell);
    }
    box.hidden = false;
  }

  function show(node) {
    const [traces, made] = draw[node.dataset.plot](node);
    Plotly.react(node, traces, made, { responsive: true, displaylogo: false, displayModeBar: false, showTips: false }).then(() => {
      node.dataset.drawn = "yes";
      if (node.dataset.listens) return;
      node.dataset.listens = "yes";
      node.on("plotly_click", (event) => { if (event.points[0].customdata) pick(event.points[0].customdata); });
    });
  }

  // Drawn when they come near the screen: a phone shows the first plot at once.
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); show(entry.target); }
  }, { rootMargin: "400px" });
  document.querySelectorAll(".plot").forEach((node) => seen.observe(node));
  const again = () => document.querySelectorAll(".plot[data-drawn]").forEach(show);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  addEventListener("beforeprint", () => document.querySelectorAll(".plot:not([data-drawn])").forEach(show));
  document.querySelectorAll("button[data-x]").forEach((button) => button.addEventListener("click", () => {
    axis = button.dataset.x;
    document.querySelectorAll("button[data-x]").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
    show(document.querySelector('[data-plot="trajectory"]'));
  }));
})();
