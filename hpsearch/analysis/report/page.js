// Unpacks Plotly from the page itself, draws the figures, and redraws them at paper's width.
(async () => {
  const text = (id) => document.getElementById(id).textContent.trim();
  const config = { responsive: true, displayModeBar: false };
  const plots = [...document.querySelectorAll(".plot")];

  async function loadPlotly() {
    const packed = Uint8Array.from(atob(text("plotly")), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  function fit(width) {
    for (const plot of plots) {
      Plotly.relayout(plot, width ? { width: plot.clientWidth } : { autosize: true, width: null });
    }
  }

  try {
    await loadPlotly();
    const figures = JSON.parse(text("figures"));
    for (const [index, plot] of plots.entries()) {
      await Plotly.newPlot(plot, figures[index].data, figures[index].layout, config);
    }
  } catch (error) {
    console.error(error);
    document.documentElement.classList.add("no-plots");
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
    document.getElementById("no-plots").hidden = false;
    return;
  }
  window.addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    fit(true);
  });
  window.addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    fit(false);
  });
  document.documentElement.dataset.drawn = plots.length;
})();
