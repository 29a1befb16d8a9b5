// Captions in the forms that training and asking share: as a sentence, and as the object of a request.

/** "A black dog runs ." -> "A black dog runs." */
export function tidyCaption(caption: string): string {
  const text = caption.trim().replace(/\s+/g, ' ').replace(/\s+([.,!?;:])/g, '$1').replace(/" ([^"]*) "/g, '"$1"');
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) || capital === '' ? capital : `${capital}.`;
}

/** A caption as the object of a request: no full stop, no capital unless the word is all capitals. */
export function requestText(request: string, caption: string): string {
  const bare = tidyCaption(caption).replace(/[.!]+$/, '');
  const first = bare.split(' ', 1)[0] ?? '';
  const lowered = first.length > 1 && first === first.toUpperCase() ? bare : bare.charAt(0).toLowerCase() + bare.slice(1);
  return request.replace('{}', () => lowered);
}
