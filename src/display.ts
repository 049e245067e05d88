import type { ByteString } from "./options.ts";

/**
 * Bytes from outside as text for a message, never as a name to work with.
 *
 * Invalid UTF-8 becomes U+FFFD. What could forge a second line or reorder the text (control characters,
 * line separators, directional marks) is written as an escape.
 */
export function display(bytes: ByteString): string {
	const text = Buffer.from(bytes, "latin1").toString("utf8");
	return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
		if (character === "\n") return "\\n";
		if (character === "\t") return "\\t";
		const code = character.codePointAt(0)!.toString(16);
		return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u{${code}}`;
	});
}
