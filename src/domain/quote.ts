const SHOWN = 60;

/** `text` in double quotes for a message: shortened, and escaped so that a hostile value cannot steer the terminal. */
export function quote(text: string): string {
  const short = text.length > SHOWN ? `${text.slice(0, SHOWN - 3)}...` : text;
  return JSON.stringify(short).replace(/\p{C}/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
