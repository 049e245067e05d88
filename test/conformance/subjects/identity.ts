/** Numbers that identify: of objects, of the file system; and what it says of itself. */

import { expect } from "bun:test";
import { lchownSync, readdirSync } from "node:fs";
import { open } from "../../harness/descriptor.ts";
import { directory, type Entry, fifo, symlink } from "../../harness/layers.ts";
import { setxattr } from "../../harness/native.ts";
import { run, statOf } from "../observe.ts";
import { changing, looking, type Place, type Subject } from "../statement.ts";

const oneOfEach = { f: "content", d: directory(), "d/x": "x", l: symlink("f"), p: fifo() };
const names = Object.keys(oneOfEach);
const numbers = ({ at }: Place) => names.map((name) => `${statOf(at(name)).dev}:${statOf(at(name)).ino}`);
const deep = (layer: string): Record<string, Entry | string> => ({
	[`${layer}1`]: "",
	[`d/${layer}2`]: "",
	[`d/${layer}3/x`]: "",
	[layer]: symlink("x"),
});

export const identity: Subject = {
	"number and device stay when owner, attributes and content change": changing(oneOfEach, (place) => {
		const before = numbers(place);
		using handle = open(place.at("f"));
		for (const name of names) lchownSync(place.at(name), 5, 6);
		setxattr(place.at("d"), "user.a", "1");
		using writer = open(place.at("f"), "a");
		expect(numbers(place)).toEqual(before);
		expect([statOf(handle.fd).ino, statOf(writer.fd).ino]).toEqual([
			statOf(place.at("f")).ino,
			statOf(place.at("f")).ino,
		]);
	}),

	"no two objects of any layers have the same number": looking(
		[deep("upper"), deep("lower"), deep("lowest")],
		({ path }) => {
			const all = readdirSync(path, { recursive: true }).map((name) => `${path}/${name}`);
			expect(all.length).toBe(16);
			expect(new Set(all.map((each) => statOf(each).ino)).size).toBe(16);
		},
	),

	"all have the device of the file system": looking(
		[deep("upper"), deep("lower"), deep("lowest")],
		({ path }) => {
			const all = readdirSync(path, { recursive: true }).map((name) => `${path}/${name}`);
			const devices = new Set([path, `${path}/..`, ...all].map((each) => statOf(each).dev));
			expect(devices.size).toBe(1);
		},
	),

	"statfs tells of space, and of names of 255 bytes, for any object": looking(oneOfEach, ({ at }) => {
		const told = names
			.filter((name) => name !== "l")
			.map((name) => run("stat", "--file-system", "--format=%l %S %b", at(name)));
		expect(new Set(told).size).toBe(1);
		expect(told[0]).toMatch(/^255 \d+ [1-9]\d*\n$/);
	}),
};
