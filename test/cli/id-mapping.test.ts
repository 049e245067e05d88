import { describe, expect, it } from "bun:test";
import { parseIdMapping } from "../../src/cli/id-mapping.ts";
import { UsageError } from "../../src/cli/usage-error.ts";
import { bytes, raw } from "./bytes.ts";

const root = { onDisk: 0, shown: 1000, length: 1 };
const others = { onDisk: 1, shown: 110000, length: 65536 };

describe("parseIdMapping", () => {
	it.each([
		["", []],
		[":", []],
		["0:1000:1", [root]],
		[":0:1000:1", [root]],
		["0:1000:1:", [root]],
		["0:1000:1:1:110000:65536", [root, others]],
		[":0:1000:1:1:110000:65536", [root, others]],
		["00:01000:1", [root]],
		["0:0:4294967296", [{ onDisk: 0, shown: 0, length: 2 ** 32 }]],
		["4294967295:0:1", [{ onDisk: 2 ** 32 - 1, shown: 0, length: 1 }]],
	])("reads %j", (text, expected) => {
		expect(parseIdMapping("uidmapping", bytes(text))).toEqual(expected);
	});

	it.each([
		["0", "1 numbers do not make triples"],
		["0:1000", "2 numbers do not make triples"],
		["0:1000:1:1", "4 numbers do not make triples"],
		["a:1000:1", '"a" is not a decimal number'],
		["0:-1:1", '"-1" is not a decimal number'],
		["0:+1:1", '"+1" is not a decimal number'],
		["0: 1:1", '" 1" is not a decimal number'],
		["0x1:0:1", '"0x1" is not a decimal number'],
		["1e3:0:1", '"1e3" is not a decimal number'],
		["1.5:0:1", '"1.5" is not a decimal number'],
		["0::1", '"" is not a decimal number'],
		["::0:1:1", '"" is not a decimal number'],
		["0:1:1::", '"" is not a decimal number'],
		["99999999999999999999:0:1", '"99999999999999999999" is not a decimal number'],
		["0:0:0", "0:0:0 is of length 0 and maps nothing"],
		["0:1000:1:1:100000:0", "1:100000:0 is of length 0 and maps nothing"],
		["4294967295:0:2", "4294967295:0:2 goes beyond id 4294967295"],
		["0:4294967295:2", "0:4294967295:2 goes beyond id 4294967295"],
		["4294967296:0:1", "4294967296:0:1 goes beyond id 4294967295"],
		["0:0:4294967297", "0:0:4294967297 goes beyond id 4294967295"],
	])("refuses %j", (text, reason) => {
		expect(() => parseIdMapping("gidmapping", bytes(text))).toThrow(
			new UsageError(`gidmapping=${text}: ${reason}: give triples ON-DISK:SHOWN:LENGTH`),
		);
	});

	it("shows bytes that are not UTF-8 in the message only", () => {
		expect(() => parseIdMapping("uidmapping", raw(0xff))).toThrow('uidmapping=\ufffd: "\ufffd" is not a');
	});
});
