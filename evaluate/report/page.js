"use strict";
// Draws every chart of the page from the data inlined beside it. Nothing is loaded.
(() => {
  const { charts, videos, told } = JSON.parse(document.getElementById("data").textContent);

  // Key frames stand in the page once; the marks of their videos show the same pictures.
  const frames = new Map();
  for (const image of document.querySelectorAll("img[data-video]")) {
    frames.set(image.dataset.video, image.src);
  }
  for (const video of videos) {
    if (frames.has(video.video)) video.image = frames.get(video.video);
  }

  const options = {
    mode: "vega-lite", renderer: "svg", actions: false,
    ast: true, // no code is made from text: the page's policy forbids it
    tooltip: { theme: "page", disableDefaultStyle: true, offsetX: 14, offsetY: 14 },
  };

  function fact(list, name, value) {
    const pair = list.appendChild(document.createElement("div"));
    pair.appendChild(document.createElement("dt")).textContent = name;
    pair.appendChild(document.createElement("dd")).textContent = value;
  }

  // A tap has no hovering: the chosen video is described below the chart.
  function describe(place, datum) {
    const list = document.createElement("dl");
    list.className = "facts";
    const shown = (value) => typeof value === "number"
      ? String(Math.round(value * 1000) / 1000).replace("-", "\u2212") : value;
    fact(list, "Video", datum.video);
    for (const [key, name] of Object.entries(told)) {
      if (datum[key] !== undefined) fact(list, name, shown(datum[key]));
    }
    const answer = document.createElement("p");
    answer.textContent = datum.text ?? "";
    place.replaceChildren(list, answer);
    if (datum.image) {
      const image = place.appendChild(document.createElement("img"));
      image.src = datum.image;
      image.alt = `Key frames of ${datum.video}`;
    }
    place.hidden = false;
  }

  const drawn = [...document.querySelectorAll("[data-chart]")].map(async (place) => {
    const spec = { ...charts[place.dataset.chart], datasets: { videos } };
    const { view } = await vegaEmbed(place, spec, options);
    const below = place.parentElement.querySelector(".chosen");
    view.addEventListener("click", (_, item) => {
      if (item && item.datum && item.datum.video) describe(below, item.datum);
    });
  });
  Promise.all(drawn).then(
    () => { document.documentElement.dataset.charts = "drawn"; },
    (error) => { document.documentElement.dataset.charts = "failed"; console.error(error); },
  );
})();
