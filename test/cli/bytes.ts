import type { ByteString } from "../../src/options.ts";

/** Text as it stands in an argument: UTF-8. */
export function bytes(text: string): ByteString {
	return Buffer.from(text, "utf8").toString("latin1") as ByteString;
}

/** Bytes that need not be UTF-8. */
export function raw(...codes: number[]): ByteString {
	return String.fromCharCode(...codes) as ByteString;
}
