/** docs/reliability.md names tests that exist. */

import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { projectDirectory } from "./harness/program.ts";

const page = readFileSync(join(projectDirectory, "docs/reliability.md"), "utf8");
/** A file, from `test/` or, in the table of that section, `test/hostile/`, and parts of titles in it. */
const references = [...page.matchAll(/([\w/-]+\.test\.ts)((?:, "[^"]+")*)/g)].map(
	([, file = "", titles = ""]) => {
		const paths = [join(projectDirectory, "test", file), join(projectDirectory, "test/hostile", file)];
		return {
			file,
			path: paths.find(existsSync),
			titles: [...titles.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => title),
		};
	},
);

test("the page on reliability names tests that exist", () => {
	expect(references.length).toBeGreaterThan(40);
	const missing = references.flatMap(({ file, path, titles }) => {
		if (path === undefined) return [file];
		const source = readFileSync(path, "utf8");
		return titles.filter((title) => !source.includes(title)).map((title) => `${file}: ${title}`);
	});
	expect(missing).toEqual([]);
});

test.each([...page.matchAll(/`(subjects\/[\w-]+\.ts|fuzz\/scripts)\/?`/g)].map(([, path = ""]) => path))(
	"the page on reliability names what exists: %s",
	(path) => {
		const places = ["test", "test/conformance"].map((place) => join(projectDirectory, place, path));
		expect(places.some(existsSync)).toBeTrue();
	},
);
