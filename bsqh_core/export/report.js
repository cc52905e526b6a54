// Draws the figures in the colours of the page, and again when these change, the window does, or it goes to paper.

const figures = JSON.parse(document.getElementById("figures").textContent);
const divs = [...document.querySelectorAll(".chart")];
const root = document.documentElement;
const touch = matchMedia("(pointer: coarse)").matches;
const { camera, disk } = Plotly.Icons;
const png = { name: "png", title: "Download as PNG", icon: camera, click: (div) => download(div, "png", 2) };
const svg = { name: "svg", title: "Download as SVG", icon: disk, click: (div) => download(div, "svg", 1) };
const config = {
  ...(touch && { displayModeBar: false }),
  displaylogo: false,
  modeBarButtons: [[png, svg], ["zoom2d", "pan2d"], ["resetScale2d"]],
};

function draw() {
  const template = theme();
  figures.forEach((figure, i) => {
    // Plotly writes into what it is given.
    const { data, layout } = structuredClone(figure);
    if (touch) layout.dragmode = false;
    const { offsetWidth: width, offsetHeight: height } = divs[i];
    Plotly.react(divs[i], data, { ...layout, width, height, template }, config);
  });
}

function theme() {
  const style = getComputedStyle(root);
  const css = (name) => style.getPropertyValue(`--${name}`).trim();
  const font = { family: getComputedStyle(document.body).fontFamily, color: css("text"), size: 13 };
  const axis = {
    gridcolor: css("line"),
    linecolor: css("line"),
    zerolinecolor: css("line"),
    zerolinewidth: 1,
    tickfont: { color: css("quiet"), size: 12 },
    title: { font: { size: 13 } },
  };
  return {
    layout: {
      font,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      xaxis: axis,
      yaxis: axis,
      hoverlabel: { bgcolor: css("page"), bordercolor: css("line"), font },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: css("quiet"), activecolor: css("accent") },
    },
  };
}

// The picture as it stands there, but on the colour of the page.
function download(div, format, scale) {
  const { data, layout } = structuredClone({ data: div.data, layout: div.layout });
  layout.paper_bgcolor = getComputedStyle(root).getPropertyValue("--page").trim();
  const title = div.closest("figure").querySelector("h3").textContent;
  const filename = (title.toLowerCase().match(/[a-z0-9]+/g) ?? ["chart"]).join("-");
  return Plotly.downloadImage({ data, layout }, { format, scale, width: layout.width, height: layout.height, filename });
}

function onPaper(yes) {
  root.classList.toggle("paper", yes);
  for (const details of document.querySelectorAll("details")) {
    if (yes) details.dataset.open = details.open;
    details.open = yes || details.dataset.open === "true";
  }
  draw();
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
let width = innerWidth;
let waiting;
addEventListener("resize", () => {
  if (innerWidth === width) return; // on phones the height changes with every scroll
  width = innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(draw, 100);
});
addEventListener("beforeprint", () => onPaper(true));
addEventListener("afterprint", () => onPaper(false));
