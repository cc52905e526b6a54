// A function on (0, 1) that is drawn with mouse, pen or finger; told when the stroke ends.

const [WIDTH, HEIGHT, LEFT, EDGE] = [240, 150, 22, 8]; // of the picture, its numbers at the left, and its margin

export default function ({ data, parentElement, setTriggerValue }) {
  const svg = parentElement.querySelector(".bsqh-pad");
  svg.pad ??= new Pad(svg);
  svg.pad.tell = (text) => setTriggerValue("drawn", text);
  svg.pad.take(data);
}

class Pad {
  constructor(svg) {
    this.svg = svg;
    svg.onpointerdown = (event) => {
      svg.setPointerCapture(event.pointerId);
      this.before = this.place(event);
      this.stroke(event);
    };
    svg.onpointermove = (event) => this.before && this.stroke(event);
    svg.onpointerup = svg.onpointercancel = () => {
      if (this.before) this.tell(this.values.map((value) => Number(value.toFixed(2))).join(" "));
      this.before = null;
    };
  }

  // What a stroke before led to may come while the next one is being drawn.
  take({ values, most }) {
    if (this.before) return;
    [this.values, this.most] = [values, most];
    this.draw();
  }

  stroke(event) {
    const from = this.before;
    const to = (this.before = this.place(event));
    const step = Math.sign(to.i - from.i);
    for (let i = from.i; i !== to.i; i += step) {
      this.values[i] = from.value + ((to.value - from.value) * (i - from.i)) / (to.i - from.i);
    }
    this.values[to.i] = to.value;
    this.draw();
  }

  place(event) {
    const box = this.svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const y = ((event.clientY - box.top) / box.height) * HEIGHT;
    const within = (value, least, most) => Math.min(Math.max(value, least), most);
    const last = this.values.length - 1;
    return {
      i: Math.round(within(((x - LEFT) / (WIDTH - LEFT - EDGE)) * last, 0, last)),
      value: within(1 - (y - EDGE) / (HEIGHT / 2 - EDGE), -1, 1) * this.most,
    };
  }

  draw() {
    const x = (i) => LEFT + (i / (this.values.length - 1)) * (WIDTH - LEFT - EDGE);
    const y = (value) => EDGE + (1 - value / this.most) * (HEIGHT / 2 - EDGE);
    const ticks = [this.most, 0, -this.most].map(
      (tick) => `<line x1="${LEFT}" x2="${WIDTH - EDGE}" y1="${y(tick)}" y2="${y(tick)}"/>
        <text x="${LEFT - 5}" y="${y(tick) + 4}">${String(tick).replace("-", "−")}</text>`,
    );
    const points = this.values.map((value, i) => `${x(i)},${y(value)}`).join(" ");
    this.svg.innerHTML = `${ticks.join("")}<polyline points="${points}"/>`;
  }
}
