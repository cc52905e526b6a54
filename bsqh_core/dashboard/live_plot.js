// Keeps one div for each chart and hands every new figure to Plotly.react, which keeps zoom, legend choices and hover.

const TOUCH = matchMedia("(pointer: coarse)").matches;
const CHARTS = 24; // no fewer than the server remembers, see deltas.py
const FIGURES = 8; // of each: the one that others build on, and the last ones, one of which will be the next
const ASK_AGAIN_MS = 4000;
const charts = new WeakMap();
// The last figures of each chart by their numbers, x not yet scaled. It outlives the charts, which go with their page.
const memory = (window.bsqhFigures ??= new Map());
let script, config;

// Streamlit calls this at the mount and again whenever the data or the theme changes. It calls a
// cleanup at the unmount, but also while mounted, of a call that a newer one overtook.
export default function ({ data, parentElement, setTriggerValue }) {
  const div = parentElement.querySelector(".bsqh-live-plot");
  if (!charts.has(div)) charts.set(div, new Chart(div));
  const chart = charts.get(div);
  chart.show(data, () => setTriggerValue("lost", data.number));
  return () => setTimeout(() => div.isConnected || chart.remove());
}

class Chart {
  constructor(div) {
    this.div = div;
    this.drawn = this.held = this.removed = false;
    // During a drag the picture holds still, so that a zoom box selects what one sees in it.
    this.hold = () => (this.held = true);
    this.release = () => {
      if (!this.held) return;
      this.held = false;
      setTimeout(() => this.waiting && this.draw(), 50); // after Plotly's own handler of the release
    };
    div.addEventListener("pointerdown", this.hold);
    for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, this.release, true);
    this.resized = new ResizeObserver(() => {
      // It fires at the removal too, which may come later than the cleanup.
      if (this.drawn && !div.isConnected) return this.remove();
      if (this.drawn && div.offsetWidth && div.offsetWidth !== this.width) {
        this.width = div.offsetWidth;
        window.Plotly.Plots.resize(div);
      }
    });
    this.resized.observe(div);
    // Drawing takes a browser without a GPU much time: charts that nobody sees wait until somebody does.
    this.seen = true;
    this.viewed = new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      if (this.seen && this.waiting) this.draw();
    });
    this.viewed.observe(div);
  }

  show(data, ask) {
    this.data = data;
    this.div.style.height = `${data.height}px`;
    this.div.setAttribute("aria-label", data.alt);
    const figure = assemble(data);
    // Until the whole figure comes, the chart shows the one before.
    if (!figure) return this.asking || this.askForAll(ask, ASK_AGAIN_MS);
    clearTimeout(this.asking);
    this.asking = null;
    [this.figure, this.number] = [figure, data.number];
    if (data.at_once) this.draw();
    else this.queue();
  }

  // After what the page paints next, and in a task of its own: what one waits for comes first, and input in between.
  queue() {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() =>
      setTimeout(() => {
        this.queued = false;
        this.draw();
      }),
    );
  }

  // Each question makes the server start over with the page, so the next one waits twice as long.
  askForAll(ask, wait) {
    ask();
    this.asking = setTimeout(() => this.askForAll(ask, 2 * wait), wait);
  }

  async draw() {
    this.waiting = this.held || (this.drawn && !this.seen);
    if (this.waiting) return;
    try {
      await loadPlotly(this.data.version);
    } catch (error) {
      this.div.textContent = `This chart cannot be drawn: ${error.message}`;
      return;
    }
    if (this.removed) return;
    if (!this.drawn) this.div.textContent = "";
    this.drawn = true;
    this.width = this.div.offsetWidth;
    const template = theme(this.div);
    const state = JSON.stringify([this.number, this.data.height, template]);
    if (state === this.state) return;
    // Plotly writes into what it is given; the same figure may come again with another theme.
    const { data, layout, x_factor } = this.data.at_once ? this.figure : structuredClone(this.figure);
    if (x_factor !== undefined) for (const trace of data) trace.x = scaled(trace.x, x_factor);
    // Where a finger scrolls the page, a drag must not zoom the chart.
    if (TOUCH) layout.dragmode = false;
    config ??= makeConfig();
    await window.Plotly.react(this.div, data, { ...layout, autosize: true, template }, config);
    this.state = state;
    if (!this.div.isConnected) this.remove();
  }

  remove() {
    this.removed = true;
    clearTimeout(this.asking);
    charts.delete(this.div);
    this.resized.disconnect();
    this.viewed.disconnect();
    for (const name of ["pointerup", "pointercancel"]) window.removeEventListener(name, this.release, true);
    if (this.drawn) window.Plotly.purge(this.div);
  }
}

// The figure of a message, or nothing if the one that it builds on is not here.
function assemble({ key, number, base, figure }) {
  const known = recall(memory, key) ?? keep(memory, key, new Map(), CHARTS);
  const old = recall(known, base);
  if (known.has(number)) return known.get(number);
  if (base !== undefined && !old) return;
  const data = figure.data.map(({ of, ...trace }) => merge(trace, old?.data[of]));
  return keep(known, number, { ...figure, data, layout: merge(figure.layout, old?.layout) }, FIGURES);
}

// Maps forget what was not recalled for longest.
function recall(map, name) {
  const value = map.get(name);
  if (map.delete(name)) map.set(name, value);
  return value;
}

function keep(map, name, value, most) {
  map.set(name, value);
  if (map.size > most) map.delete(map.keys().next().value);
  return value;
}

function merge(changes, old) {
  const entries = Object.entries(changes).map(([name, value]) => [name, unpack(value, old?.[name])]);
  return { ...old, ...Object.fromEntries(entries) };
}

function unpack(value, old) {
  const keep = value?.keep ?? 0;
  if (!keep && (value?.dtype !== "f4" || value.shape)) return value;
  const bytes = Uint8Array.from(atob(value.bdata), (character) => character.charCodeAt(0));
  const numbers = new Float32Array(keep + bytes.length / 4);
  if (keep) numbers.set(old.subarray(0, keep));
  numbers.set(new Float32Array(bytes.buffer), keep);
  return numbers;
}

function scaled(x, factor) {
  if (ArrayBuffer.isView(x)) return Float64Array.from(x, (value) => factor * value);
  return Array.isArray(x) ? x.map((value) => (typeof value === "number" ? factor * value : value)) : x;
}

function loadPlotly(version) {
  if (window.Plotly) return Promise.resolve();
  script ??= new Promise((resolve, reject) => {
    const tag = document.createElement("script");
    // Relative to the page, so that it also works under server.baseUrlPath and behind a proxy.
    tag.src = new URL(`app/static/plotly.min.js?v=${version}`, document.baseURI).href;
    const fail = () => {
      script = null; // the next refresh tries again
      tag.remove();
      reject(new Error(`the script ${tag.src} could not be loaded. Is server.enableStaticServing on?`));
    };
    tag.onload = () => (window.Plotly ? resolve() : fail());
    tag.onerror = fail;
    document.head.append(tag);
  });
  return script;
}

function makeConfig() {
  const { camera, disk } = window.Plotly.Icons;
  const png = { name: "png", title: "Download as PNG", icon: camera, click: (div) => download(div, "png", 2) };
  const svg = { name: "svg", title: "Download as SVG", icon: disk, click: (div) => download(div, "svg", 1) };
  return {
    ...(TOUCH && { displayModeBar: false }), // it would lie on the curves for good
    displaylogo: false,
    modeBarButtons: [[png, svg], ["zoom2d", "pan2d"], ["resetScale2d"]],
  };
}

// The picture as it stands there, zoom and all, but on the colour of the page.
function download(div, format, scale) {
  const { data, layout } = structuredClone({ data: div.data, layout: div.layout });
  layout.paper_bgcolor = cssOf(div)("background-color");
  const { width, height } = div._fullLayout;
  const filename = charts.get(div).data.name;
  return window.Plotly.downloadImage({ data, layout }, { format, scale, width, height, filename });
}

function cssOf(div) {
  const style = getComputedStyle(div);
  return (name) => style.getPropertyValue(`--st-${name}`).trim();
}

function theme(div) {
  const css = cssOf(div);
  const font = { family: css("font"), color: css("text-color"), size: 13 };
  const axis = {
    gridcolor: css("border-color-light"),
    linecolor: css("border-color"),
    zerolinecolor: css("border-color"),
    zerolinewidth: 1,
    tickfont: { color: css("gray-text-color"), size: 12 },
    title: { font: { size: 13 } },
  };
  return {
    layout: {
      font,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      xaxis: axis,
      yaxis: axis,
      hoverlabel: { bgcolor: css("background-color"), bordercolor: css("border-color"), font },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: css("gray-text-color"), activecolor: css("primary-color") },
    },
  };
}
