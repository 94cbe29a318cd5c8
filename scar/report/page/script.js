"use strict";
{
  const form = document.getElementById("controls");
  const items = form ? [...document.querySelectorAll("#list > article")] : [];
  const fields = ["what", "tenth", "source"].map((name) => [name, document.getElementById(name)]);
  const search = document.getElementById("search");
  const plain = (text) => text.toLowerCase().normalize("NFKC");
  const texts = new Map(items.map((item) => [item, plain(item.textContent)]));
  const filter = () => {
    const words = plain(search.value).split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of items) {
      const fits = fields.every(([name, field]) => !field || !field.value || item.dataset[name] === field.value);
      item.hidden = !(fits && words.every((word) => texts.get(item).includes(word)));
      shown += !item.hidden;
    }
    document.getElementById("shown").textContent = `${shown} of ${items.length} shown`;
    document.getElementById("none").hidden = shown > 0;
  };
  if (form) {
    form.hidden = false;
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }
}
