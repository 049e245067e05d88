import { display } from "../display.ts";
import type { ByteString, IdRange } from "../options.ts";
import { UsageError } from "./usage-error.ts";
import { parseDecimal } from "./values.ts";

/** One past the largest number a user or group id can be written with. */
const idLimit = 2 ** 32;

/**
 * Parses `uidmapping=` and `gidmapping=`: triples ON-DISK:SHOWN:LENGTH, colons throughout, in their order.
 * A colon before the first or after the last triple is legal: containers/storage writes `:0:1000:1`.
 *
 * Throws UsageError where a number is not decimal, a triple is not complete, or a range is empty or leaves 32 bits.
 */
export function parseIdMapping(option: string, value: ByteString): readonly IdRange[] {
	const invalid = (reason: string) =>
		new UsageError(`${option}=${display(value)}: ${reason}: give triples ON-DISK:SHOWN:LENGTH`);

	const triples = value.replace(/^:/, "").replace(/:$/, "");
	if (triples === "") return [];
	const numbers = triples.split(":").map((text) => {
		const number = parseDecimal(text as ByteString);
		if (number === undefined) throw invalid(`"${display(text as ByteString)}" is not a decimal number`);
		return number;
	});
	if (numbers.length % 3 !== 0) throw invalid(`${numbers.length} numbers do not make triples`);

	const ranges: IdRange[] = [];
	for (let i = 0; i < numbers.length; i += 3) {
		const [onDisk, shown, length] = numbers.slice(i, i + 3) as [number, number, number];
		if (length === 0) throw invalid(`${onDisk}:${shown}:0 is of length 0 and maps nothing`);
		if (onDisk + length > idLimit || shown + length > idLimit) {
			throw invalid(`${onDisk}:${shown}:${length} goes beyond id ${idLimit - 1}`);
		}
		ranges.push(Object.freeze({ onDisk, shown, length }));
	}
	return ranges;
}
