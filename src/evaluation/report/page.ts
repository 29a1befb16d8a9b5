// A report as one HTML file: tables, plots as SVG, pictures as data URLs, nothing from outside, no script.
import { drawPlot, type Plot } from '../../training/index.ts';

export interface ReportTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface ReportPicture {
  /** Data URL of a thumbnail; null where there is none. */
  readonly src: string | null;
  readonly alt: string;
  readonly lines: readonly string[];
}

export interface ReportSection {
  readonly title: string;
  readonly text?: string;
  readonly table?: ReportTable;
  readonly plot?: Plot;
  readonly pictures?: readonly ReportPicture[];
}

export interface Report {
  readonly title: string;
  /** What was run: command, model, data. */
  readonly facts: readonly (readonly [string, string])[];
  readonly sections: readonly ReportSection[];
}

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #8885; text-align: right; }
.text { text-align: left; }
.long { min-width: 10rem; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; }
.wrap { overflow-x: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; overflow-wrap: anywhere; }
dt { opacity: .7; } dd { margin: 0; }
svg { max-width: 100%; height: auto; border-radius: 6px; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figure img { width: 100%; height: 11rem; object-fit: contain; background: #8882; border-radius: 6px; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; } figcaption p { margin: .2rem 0; }
figcaption p:first-child { font-weight: 600; }
`;

/** Characters of a cell like `33.2 (28.5–37.9)`; a column with a longer one holds words. */
const longestFigure = 22;

export function renderReport({ title, facts, sections }: Report): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<dl>${facts.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`).join('\n')}</dl>
${sections.map(renderSection).join('\n')}
</body>
</html>
`;
}

function renderSection({ title, text, table, plot, pictures }: ReportSection): string {
  return [
    `<section><h2>${escapeHtml(title)}</h2>`,
    text === undefined ? '' : `<p>${escapeHtml(text)}</p>`,
    table === undefined ? '' : renderTable(table),
    plot === undefined ? '' : drawPlot(plot),
    pictures === undefined ? '' : `<div class="pictures">${pictures.map(renderPicture).join('\n')}</div>`,
    '</section>',
  ].join('\n');
}

function renderTable({ head, rows }: ReportTable): string {
  const classes = head.map((_, i) => (rows.some((row) => (row[i]?.length ?? 0) > longestFigure) ? 'text long' : i === 0 ? 'text' : ''));
  const line = (tag: string, cells: readonly string[]) => `<tr>${cells.map((cell, i) => `<${tag}${classes[i] ? ` class="${classes[i]}"` : ''}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  return `<div class="wrap"><table><thead>${line('th', head)}</thead><tbody>${rows.map((row) => line('td', row)).join('\n')}</tbody></table></div>`;
}

function renderPicture({ src, alt, lines }: ReportPicture): string {
  const image = src === null ? '' : `<img src="${escapeHtml(src)}" alt="${escapeHtml(alt)}">`;
  return `<figure>${image}<figcaption>${lines.map((line) => `<p>${escapeHtml(line)}</p>`).join('')}</figcaption></figure>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
