// Signs on buttons, drawn: not every system has a font for emoji.

const thumb = 'M7 10.5v9.5H3.5v-9.5z M7 10.5 11 3c1.6 0 2.6 1.1 2.4 2.7L13 9h5.6c1.3 0 2.2 1.1 2 2.4l-1.1 6.8c-.2 1.1-1 1.8-2.1 1.8H7';
const drawings = {
  up: thumb,
  down: thumb,
  wrong: 'M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 1 0 0-17z M6 6l12 12',
} as const;

export type IconName = keyof typeof drawings;

export function icon(name: IconName): SVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', drawings[name]);
  if (name === 'down') path.setAttribute('transform', 'rotate(180 12 12)');
  svg.append(path);
  return svg;
}
