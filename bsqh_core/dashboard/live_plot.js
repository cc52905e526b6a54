// Keeps one div for each chart and hands every new figure to Plotly.react, which keeps zoom, legend choices and hover.

const TOUCH = matchMedia("(pointer: coarse)").matches;
const CONFIG = {
  ...(TOUCH && { displayModeBar: false }), // it would lie on the curves for good
  displaylogo: false,
  showSendToCloud: false, // on by default in Plotly 7; nothing leaves this machine
  modeBarButtonsToRemove: ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
  toImageButtonOptions: { scale: 2 },
};
const charts = new WeakMap();
let script = null;

// Streamlit calls this at the mount and again whenever the data or the theme changes. It calls a
// cleanup at the unmount, but also while mounted, of a call that a newer one overtook.
export default function ({ data, parentElement }) {
  const div = parentElement.querySelector(".bsqh-live-plot");
  if (!charts.has(div)) charts.set(div, new Chart(div));
  const chart = charts.get(div);
  chart.show(data);
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

  show(data) {
    this.data = data;
    this.div.style.height = `${data.height}px`;
    this.div.setAttribute("aria-label", data.alt);
    this.draw();
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
    // Plotly writes into what it is given; the same data may come again with another theme.
    const { data, layout } = structuredClone(this.data.figure);
    // Where a finger scrolls the page, a drag must not zoom the chart.
    if (TOUCH) layout.dragmode = false;
    await window.Plotly.react(this.div, data, { ...layout, autosize: true, template: theme(this.div) }, CONFIG);
    if (!this.div.isConnected) this.remove();
  }

  remove() {
    this.removed = true;
    charts.delete(this.div);
    this.resized.disconnect();
    this.viewed.disconnect();
    for (const name of ["pointerup", "pointercancel"]) window.removeEventListener(name, this.release, true);
    if (this.drawn) window.Plotly.purge(this.div);
  }
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

function theme(div) {
  const style = getComputedStyle(div);
  const css = (name) => style.getPropertyValue(`--st-${name}`).trim();
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
