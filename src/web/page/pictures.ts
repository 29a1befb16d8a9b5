// Pictures on their way in: chosen, pasted or dropped. Shrunk in the browser when they are much larger
// than any encoder looks at, so that a phone photo travels quickly.

const types = ['image/jpeg', 'image/png', 'image/webp', 'image/gif'];
const maxSide = 1600;
const maxBytes = 4_000_000;

/** Data URLs of those files that are pictures. */
export async function readPictures(files: Iterable<File>): Promise<string[]> {
  const pictures = [...files].filter((file) => types.includes(file.type));
  return Promise.all(pictures.map(readPicture));
}

async function readPicture(file: File): Promise<string> {
  if (file.size > maxBytes && file.type !== 'image/gif') {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, maxSide / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement('canvas');
    canvas.width = Math.round(bitmap.width * scale);
    canvas.height = Math.round(bitmap.height * scale);
    canvas.getContext('2d')!.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL('image/jpeg', 0.92);
  }
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(new Error('the picture could not be read'));
    reader.readAsDataURL(file);
  });
}

/** Calls back with pictures dropped anywhere or pasted. */
export function watchPictures(onPictures: (urls: string[]) => void): void {
  const veil = document.querySelector<HTMLElement>('#drop')!;
  let depth = 0;
  const holdsFiles = (event: DragEvent) => [...(event.dataTransfer?.types ?? [])].includes('Files');
  addEventListener('dragenter', (event) => {
    if (!holdsFiles(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  addEventListener('dragleave', () => {
    depth = Math.max(0, depth - 1);
    veil.hidden = depth === 0;
  });
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', async (event) => {
    event.preventDefault();
    depth = 0;
    veil.hidden = true;
    onPictures(await readPictures(await droppedFiles(event.dataTransfer)));
  });
  addEventListener('paste', async (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length > 0) onPictures(await readPictures(files));
  });
}

/** Files of a drop; a dropped folder gives the files in it, at any depth. */
async function droppedFiles(transfer: DataTransfer | null): Promise<File[]> {
  const entries = [...(transfer?.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry != null);
  if (entries.length === 0) return [...(transfer?.files ?? [])];
  const files: File[] = [];
  const visit = async (entry: FileSystemEntry): Promise<void> => {
    if (entry.isFile) files.push(await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)));
    else {
      const reader = (entry as FileSystemDirectoryEntry).createReader();
      for (;;) {
        // A directory gives its entries in portions until an empty one.
        const portion = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
        if (portion.length === 0) break;
        for (const child of portion) await visit(child);
      }
    }
  };
  for (const entry of entries) await visit(entry);
  return files;
}
