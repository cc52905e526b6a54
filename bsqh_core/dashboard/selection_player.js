// Pictures that move together, and what moves them: a button and a slider over the frames, which are all here.

const SECONDS = 8; // from the first frame to the last
const LONGEST_MS = 100; // a page that was out of sight goes on where it was
// Streamlit may load this script again and again; the charts' own comes with it as a text.
const charts = (window.bsqhPlayerCharts ??= import(URL.createObjectURL(new Blob([CHARTS], { type: "text/javascript" }))));

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".bsqh-player");
  root.player ??= new Player(root);
  root.player.take(data);
  return () => setTimeout(() => root.isConnected || root.player.remove());
}

class Player {
  constructor(root) {
    this.button = root.querySelector("button");
    this.slider = root.querySelector("input");
    this.time = root.querySelector("output");
    this.places = [...root.querySelectorAll(".bsqh-picture")];
    this.cleanups = new Map();
    this.button.onclick = () => (this.playing ? this.pause() : this.play());
    this.slider.oninput = () => this.show((this.at = Number(this.slider.value)));
  }

  // Another problem: at the time that was shown before, whatever the number of frames.
  async take({ pictures, frames }) {
    this.chart = (await charts).default;
    this.pictures = pictures;
    this.frames = Object.fromEntries(Object.entries(frames).map(([name, packed]) => [name, numbers(packed)]));
    const { t } = this.frames;
    this.last = this.slider.max = t.length - 1;
    const shown = this.shown ?? Infinity;
    this.at = t.reduce((best, time, k) => (Math.abs(time - shown) < Math.abs(t[best] - shown) ? k : best), this.last);
    this.places.forEach((place, i) => (place.querySelector("p").innerHTML = pictures[i].about));
    this.show(this.at);
  }

  show(k, passing = false) {
    this.shown = this.frames.t[k];
    const t = short(this.shown);
    this.slider.value = k;
    this.slider.setAttribute("aria-valuetext", `t = ${t}`);
    this.time.textContent = `t = ${t}`;
    this.pictures.forEach((picture, i) => {
      const place = this.places[i];
      place.querySelector("h5").textContent = picture.title.replace("{t}", t);
      const div = place.querySelector(".bsqh-live-plot");
      if (!passing || !div._fullLayout || !this.moveLines(div, picture.figure, k)) this.draw(place, picture, k);
    });
  }

  draw(place, { figure, alt, of, ...rest }, k) {
    const t = short(this.frames.t[k]);
    const said = of?.map((name) => this.describe(name, k, t)).join(" ") ?? alt;
    // The charts know figures by their numbers, also those of the player that was here before.
    const number = (window.bsqhPlayerDrew = (window.bsqhPlayerDrew ?? 0) + 1);
    const data = { ...rest, at_once: true, number, figure: this.filled(figure, k), alt: said };
    this.cleanups.set(place, this.chart({ data, parentElement: place, setTriggerValue() {} }));
  }

  // For Plotly to draw the whole picture takes a hundred times as long: it does where the state rests.
  moveLines(div, { data, layout }, k) {
    if (data.some(({ z }) => z?.frame)) return false;
    const { xaxis, yaxis } = div._fullLayout;
    if (layout.shapes) {
      const x = xaxis._offset + xaxis.c2p(this.frames.t[k]);
      const mark = div.querySelector(".shapelayer path");
      mark.setAttribute("d", `M${x},${yaxis._offset}V${yaxis._offset + yaxis._length}`);
    }
    for (const { uid, y } of data.filter(({ y }) => y?.frame)) {
      const at = div._fullData.find((trace) => trace.uid === uid).x;
      const points = Array.from(this.frame(y.frame, k), (value, i) => `${xaxis.c2p(at[i])},${yaxis.c2p(value)}`);
      div.querySelector(`.trace${uid} .js-line`)?.setAttribute("d", `M${points.join("L")}`); // one may be hidden
    }
    return true;
  }

  describe(name, k, t) {
    const values = this.frame(name, k);
    return `${name} at t = ${t} is between ${short(Math.min(...values))} and ${short(Math.max(...values))}.`;
  }

  frame(name, k) {
    const length = this.frames[name].length / (this.last + 1);
    return this.frames[name].subarray(k * length, (k + 1) * length);
  }

  // The figure with its places for frames filled, see selection_player.py.
  filled(node, k) {
    if (node?.frames) return (this.frames[node.frames].across ??= transposed(this.frames[node.frames], this.last + 1));
    if (node?.frame && node.side) return transposed(this.frame(node.frame, k), node.side);
    if (node?.frame) return node.frame === "t" ? this.frames.t[k] : this.frame(node.frame, k);
    if (Array.isArray(node)) return node.map((item) => this.filled(item, k));
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([name, value]) => [name, this.filled(value, k)]));
  }

  play() {
    this.playing = true;
    if (this.at >= this.last) this.at = 0;
    this.label("Pause");
    let before;
    const tick = (now) => {
      if (!this.playing) return;
      const seconds = Math.min(now - (before ?? now), LONGEST_MS) / 1000;
      const at = Math.min(this.last, this.at + (seconds / SECONDS) * this.last);
      const moved = Math.floor(at) !== Math.floor(this.at);
      [before, this.at] = [now, at];
      if (moved) this.show(Math.floor(at), true);
      if (at < this.last) requestAnimationFrame(tick);
      else this.pause();
    };
    requestAnimationFrame(tick);
  }

  pause() {
    this.playing = false;
    this.label("Play");
    this.show(Math.floor(this.at));
  }

  label(text) {
    this.button.dataset.does = text;
    this.button.querySelector("span").textContent = text;
  }

  remove() {
    this.playing = false;
    for (const cleanup of this.cleanups.values()) cleanup();
  }
}

// Of int16 in units of each frame, or float32, see selection_player.py.
function numbers({ bdata, units }) {
  const text = atob(bdata);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i); // ten times as fast as Uint8Array.from
  if (!units) return new Float32Array(bytes.buffer);
  const unit = numbers(units);
  const levels = new Int16Array(bytes.buffer);
  const length = levels.length / unit.length;
  const values = new Float32Array(levels.length);
  for (let i = 0; i < levels.length; i++) values[i] = levels[i] * unit[Math.floor(i / length)];
  return values;
}

// The columns of a matrix with so many rows.
function transposed(matrix, rows) {
  const count = matrix.length / rows;
  const columns = Array.from({ length: count }, () => new Float32Array(rows));
  for (let i = 0; i < matrix.length; i++) columns[i % count][Math.floor(i / count)] = matrix[i];
  return columns;
}

function short(value) {
  return String(Number(value.toPrecision(3)));
}
