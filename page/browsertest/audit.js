// Returns what is wrong with how the page is laid out and coloured.
(() => {
  const wrong = [];
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const d = canvas.getImageData(0, 0, 1, 1).data;
    return [d[0], d[1], d[2], d[3] / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const luminance = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => {
      v /= 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [x, y] = [luminance(a), luminance(b)].sort((m, n) => n - m);
    return (x + 0.05) / (y + 0.05);
  };
  const behind = (el) => {
    const layers = [];
    for (let e = el; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3] > 0) layers.push(c);
      if (c[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  if (document.documentElement.scrollWidth > innerWidth) {
    wrong.push(`the page is ${document.documentElement.scrollWidth} px wide in a window of ${innerWidth}`);
  }
  const seen = new Set();
  let texts = 0;
  for (const el of document.body.querySelectorAll("*")) {
    const own = [...el.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || el.localName === "title" || !el.getClientRects().length) continue;
    texts++;
    const style = getComputedStyle(el);
    const colour = rgba(el instanceof SVGElement ? style.fill : style.color);
    const below = behind(el);
    const ratio = contrast(over(colour, below), below);
    const key = `${el.localName}.${el.getAttribute("class")}: contrast ${ratio.toFixed(2)}`;
    if (ratio < 4.5 && !seen.has(key)) {
      seen.add(key);
      wrong.push(key);
    }
  }
  if (texts < 5) wrong.push(`only ${texts} texts are shown`);
  for (const svg of document.querySelectorAll("svg.lanes")) {
    const frame = svg.closest("figure").getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text.label, text.muted, text.group")].map((e) => [e, e.getBoundingClientRect()]);
    for (const [e, b] of boxes) {
      if (b.left < frame.left || b.right > frame.right + 1) wrong.push(`"${e.textContent}" is out of the frame`);
    }
    for (let i = 0; i < boxes.length; i++) {
      for (let j = i + 1; j < boxes.length; j++) {
        const [a, b] = [boxes[i][1], boxes[j][1]];
        if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3) {
          wrong.push(`"${boxes[i][0].textContent}" is over "${boxes[j][0].textContent}"`);
        }
      }
    }
  }
  return wrong;
})()
