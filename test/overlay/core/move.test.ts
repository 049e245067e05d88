/**
 * Names of the upper layer that hide something below, and files that leave their data there (`metacopy=on`), on file systems of
 * all abilities, and with a crash before each single change of the disk: what is seen then is what was there before or what is
 * there after, never what is hidden, and never zeros.
 */

import { describe, expect, test } from "bun:test";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DT_DIR, DT_REG, S_IFIFO } from "../../../src/native/layout.ts";
import type { OverlayOptions } from "../../../src/overlay/overlay-options.ts";
import { whiteout } from "../../harness/layers.ts";
import { type Lack, PlainDisk } from "../../harness/plain-fs.ts";
import { lacks } from "../../harness/setting.ts";
import type { Client } from "./client.ts";
import { type Core, errnoOf, openCore, root } from "./core.ts";

/** What each trial has below; "lower" must not be seen again once it was removed. */
const below = {
	file: "lower",
	"tree/x": "in tree",
	"other/x": "in other",
	both: "lower",
	"hollow/x": "lower",
	"empty/x": "lower",
};

interface Operation {
	readonly before?: (client: Client, at: (name: string) => string) => void;
	readonly act: (client: Client, at: (name: string) => string) => unknown;
}

/** A directory of the upper layer with something in it. */
const makeOwn = (client: Client, path: string): void => {
	client.mkdir(path);
	client.create(`${path}/own`, "own");
};
const removeTree = (client: Client, path: string): void => {
	client.unlink(`${path}/x`);
	client.rmdir(path);
};

const operations: Readonly<Record<string, Operation>> = {
	"a lower file is removed": { act: (client, at) => client.unlink(at("file")) },
	"a changed file is removed": {
		before: (client, at) => client.write(at("both"), "upper"),
		act: (client, at) => client.unlink(at("both")),
	},
	"a file is made over a removed one": {
		before: (client, at) => client.unlink(at("file")),
		act: (client, at) => client.create(at("file")),
	},
	"a symlink is made over a removed file": {
		before: (client, at) => client.unlink(at("file")),
		act: (client, at) => client.symlink("target", at("file")),
	},
	"a FIFO is made over a removed directory": {
		before: (client, at) => removeTree(client, at("tree")),
		act: (client, at) => client.make(at("tree"), S_IFIFO | 0o600, root),
	},
	"a second name is made over a removed file": {
		before: (client, at) => {
			client.unlink(at("file"));
			client.create(at("new"), "new");
		},
		act: (client, at) => client.link(at("new"), at("file")),
	},
	"a directory is made over a removed file": {
		before: (client, at) => client.unlink(at("file")),
		act: (client, at) => client.mkdir(at("file")),
	},
	"a directory is made over a removed one": {
		before: (client, at) => removeTree(client, at("tree")),
		act: (client, at) => client.mkdir(at("tree")),
	},
	"a merged directory, emptied, is removed": {
		before: (client, at) => client.unlink(at("hollow/x")),
		act: (client, at) => client.rmdir(at("hollow")),
	},
	"a directory made anew is removed": {
		before: (client, at) => {
			removeTree(client, at("tree"));
			client.mkdir(at("tree"));
		},
		act: (client, at) => client.rmdir(at("tree")),
	},
	"a changed file is renamed": {
		before: (client, at) => client.write(at("both"), "upper"),
		act: (client, at) => client.rename(at("both"), at("new")),
	},
	"a lower file is renamed over another": { act: (client, at) => client.rename(at("file"), at("both")) },
	"a file is renamed over a removed one": {
		before: (client, at) => {
			client.unlink(at("file"));
			client.create(at("new"), "new");
		},
		act: (client, at) => client.rename(at("new"), at("file")),
	},
	"a file is renamed to a removed name that must be free": {
		before: (client, at) => {
			client.unlink(at("file"));
			client.create(at("new"), "new");
		},
		act: (client, at) => client.renameNoReplace(at("new"), at("file")),
	},
	"a directory is renamed over a removed file": {
		before: (client, at) => {
			client.unlink(at("file"));
			makeOwn(client, at("new"));
		},
		act: (client, at) => client.rename(at("new"), at("file")),
	},
	"a directory made anew is renamed": {
		before: (client, at) => {
			removeTree(client, at("tree"));
			makeOwn(client, at("tree"));
		},
		act: (client, at) => client.rename(at("tree"), at("new")),
	},
	"a directory made anew is renamed over a removed one": {
		before: (client, at) => {
			removeTree(client, at("tree"));
			removeTree(client, at("other"));
			makeOwn(client, at("tree"));
		},
		act: (client, at) => client.rename(at("tree"), at("other")),
	},
	"a directory is renamed over a merged one, emptied": {
		before: (client, at) => {
			client.unlink(at("hollow/x"));
			makeOwn(client, at("new"));
		},
		act: (client, at) => client.rename(at("new"), at("hollow")),
	},
	"a directory made anew is renamed over a merged one, emptied": {
		before: (client, at) => {
			removeTree(client, at("tree"));
			makeOwn(client, at("tree"));
			client.unlink(at("hollow/x"));
		},
		act: (client, at) => client.rename(at("tree"), at("hollow")),
	},
	"a lower directory is renamed": { act: (client, at) => client.rename(at("tree"), at("new")) },
	"a lower directory is renamed into another": {
		act: (client, at) => client.rename(at("tree"), at("other/new")),
	},
	"a lower directory is renamed into a new one": {
		before: (client, at) => client.mkdir(at("own")),
		act: (client, at) => client.rename(at("tree"), at("own/new")),
	},
	"a lower directory is renamed over a removed one": {
		before: (client, at) => removeTree(client, at("other")),
		act: (client, at) => client.rename(at("tree"), at("other")),
	},
	"a lower directory is renamed over a merged one, emptied": {
		before: (client, at) => client.unlink(at("hollow/x")),
		act: (client, at) => client.rename(at("tree"), at("hollow")),
	},
	"a renamed directory is renamed again, elsewhere": {
		before: (client, at) => {
			client.rename(at("tree"), at("new"));
			client.create(at("new/own"), "own");
		},
		act: (client, at) => client.rename(at("new"), at("other/newer")),
	},
	"a lower file gets another mode": { act: (client, at) => client.change(at("file"), { mode: 0o600 }) },
	"a lower file gets a second name": { act: (client, at) => client.link(at("file"), at("new")) },
	"a lower file is renamed into another directory": {
		act: (client, at) => client.rename(at("file"), at("other/new")),
	},
	"a lower file is renamed over a removed one": {
		before: (client, at) => client.unlink(at("both")),
		act: (client, at) => client.rename(at("file"), at("both")),
	},
	"a lower file changes places with one in another directory": {
		act: (client, at) => client.exchange(at("file"), at("tree/x")),
	},
	"a file that got another mode is written to": {
		before: (client, at) => client.change(at("file"), { mode: 0o600 }),
		act: (client, at) => client.write(at("file"), "L"),
	},
	"a file that got another mode is cut": {
		before: (client, at) => client.change(at("file"), { mode: 0o600 }),
		act: (client, at) => client.change(at("file"), { size: 2 }),
	},
	"a renamed file is renamed again, elsewhere": {
		before: (client, at) => client.rename(at("file"), at("new")),
		act: (client, at) => client.rename(at("new"), at("tree/newer")),
	},
	"a renamed file gets a second name elsewhere": {
		before: (client, at) => client.rename(at("file"), at("new")),
		act: (client, at) => client.link(at("new"), at("tree/newer")),
	},
	"a renamed file is written to": {
		before: (client, at) => client.rename(at("file"), at("new")),
		act: (client, at) => client.write(at("new"), "L"),
	},
	"two lower directories change places": {
		act: (client, at) => client.exchange(at("tree"), at("other")),
	},
	"a lower directory changes places with a new one in another": {
		before: (client, at) => makeOwn(client, at("other/own")),
		act: (client, at) => client.exchange(at("tree"), at("other/own")),
	},
};

/** What an operation needs, by a part of its title. */
const needs: Readonly<Record<string, Lack>> = {
	"a second name": "link",
	"a lower file changes": "rename-flags",
	"a lower directory": "xattrs",
	"a renamed directory": "xattrs",
	"two lower directories": "rename-flags",
	"changes places": "rename-flags",
};

const profiles: readonly (readonly [string, readonly Lack[]])[] = [
	["that can do all", []],
	["that takes no flags of rename", ["rename-flags"]],
	["like NFS 3: besides without extended attributes", ["rename-flags", "xattrs"]],
	["that besides takes no whiteout devices", ["rename-flags", "whiteouts"]],
	[
		"that besides has no hard links, attributes trusted.*, or kinds in listings",
		["rename-flags", "link", "trusted", "types"],
	],
];

type View = Readonly<Record<string, string>>;

/** What a user sees below a path: kinds, and the content of files. */
function viewOf(core: Core, path: string, within = ""): View {
	const view: Record<string, string> = {};
	for (const { name, type } of core.entries(core.node(path))) {
		if (name === "." || name === "..") continue;
		const shown = `${within}${name}`;
		const inner = `${path}/${name}`;
		view[shown] = type === DT_REG ? `${core.stat(inner).mode} ${core.read(inner)}` : `kind ${type}`;
		if (type === DT_DIR) Object.assign(view, viewOf(core, `${path}/${name}`, `${shown}/`));
	}
	return view;
}

/** What is wrong with what is seen between two states. */
function faults(before: View, after: View, seen: View): string[] {
	const strange = Object.entries(seen).filter(
		([name, what]) => before[name] !== what && after[name] !== what,
	);
	const lost = Object.entries(before).filter(([name, what]) => after[name] === what && seen[name] !== what);
	const kept = Object.values(before).filter((what) => Object.values(after).includes(what));
	const gone = kept.filter((what) => !Object.values(seen).includes(what));
	return [
		...strange.map(([name, what]) => `shows ${name}: ${what}`),
		...lost.map(([name]) => `lacks ${name}`),
		...gone.map((what) => `nowhere shows ${what}`),
	];
}

const trialNames = (count: number) => Array.from({ length: count }, (_, index) => `trial${index}`);
/** More than any of them takes changes. */
const most = 40;

const settings: readonly (readonly [string, Partial<OverlayOptions>])[] = [
	["with the data of files", { redirects: "on" }],
	["without it", { redirects: "on", leavesData: true, usersMetacopies: "followed" }],
];
const cases = profiles.flatMap(([title, missing]) =>
	settings.map(([how, options]) => [title, how, missing, options] as const),
);

describe.skipIf(lacks("mounting")).each(cases)(
	"on a file system %s, %s",
	(_title, _how, missing, options) => {
		const open = (disk: PlainDisk) =>
			openCore(
				[
					Object.fromEntries(
						trialNames(most).flatMap((trial) =>
							Object.entries(below).map(([name, content]) => [`${trial}/${name}`, content]),
						),
					),
				],
				{ disk: disk.mount, options },
			);

		const possible = Object.entries(operations).filter(
			([title]) =>
				// Directories have no data.
				(!options.leavesData || title.includes("file")) &&
				!Object.entries(needs).some(([part, need]) => title.includes(part) && missing.includes(need)),
		);
		test.each(possible)("%s, and nothing else shows at any moment", (_title, operation) => {
			const disk = new PlainDisk(missing);
			using core = open(disk);
			const within = (trial: string) => (name: string) => `${trial}/${name}`;
			for (const trial of trialNames(most)) operation.before?.(core, within(trial));
			const before = viewOf(core, "trial0");
			const budget = 1000;
			disk.allow(budget);
			operation.act(core, within("trial0"));
			const changes = budget - disk.left;
			disk.allow(-1);
			const after = viewOf(core, "trial0");
			expect(after).not.toEqual(before);
			expect(changes).toBeLessThan(most);
			const crashed = trialNames(changes + 1).slice(1);
			for (const [allowed, trial] of crashed.entries()) {
				disk.allow(allowed);
				// Cleaning up what does not change what is seen may fail.
				errnoOf(() => operation.act(core, within(trial)));
				disk.allow(-1);
				expect({ allowed, faults: faults(before, after, viewOf(core, trial)) }).toEqual({
					allowed,
					faults: [],
				});
			}
			for (const name of core.litter())
				rmSync(join(core.layers.work, "work", name), { recursive: true, force: true });
			core.reopen();
			expect(viewOf(core, "trial0")).toEqual(after);
			for (const [allowed, trial] of crashed.entries()) {
				expect({ allowed, faults: faults(before, after, viewOf(core, trial)) }).toEqual({
					allowed,
					faults: [],
				});
				// And it can be done then.
				if (errnoOf(() => operation.act(core, within(trial))) === undefined)
					expect({ allowed, seen: viewOf(core, trial) }).toEqual({ allowed, seen: after });
			}
			if (missing.includes("whiteouts")) return;
			// Nothing is left of what hid it meanwhile.
			const names = readdirSync(core.inUpper("trial0"), { recursive: true, encoding: "utf8" });
			expect(names.filter((name) => /(^|\/)\.wh\.[^.]/.test(name))).toEqual([]);
		});

		test("exchange is refused where it is not to be had, before anything is copied up", () => {
			using core = open(new PlainDisk(missing));
			const exchange = () => core.exchange("trial0/file", "trial0/both");
			expect(errnoOf(exchange)).toBe(missing.includes("rename-flags") ? "EINVAL" : undefined);
			expect(core.upperNames()).toEqual(missing.includes("rename-flags") ? [] : ["trial0"]);
		});
	},
);

describe.skipIf(lacks("mounting"))(
	"a name of 252 bytes, on a file system that takes no flags of rename",
	() => {
		const long = "n".repeat(252);

		test("is not made free for a moment: what would need that fails with EIO and changes nothing", () => {
			const disk = new PlainDisk(["rename-flags"]);
			using core = openCore([{ [long]: "lower" }], { disk: disk.mount, upper: { [long]: whiteout() } });
			expect(errnoOf(() => core.mkdir(long))).toBe("EIO");
			core.mkdir("new");
			expect(errnoOf(() => core.rename("new", long))).toBe("EIO");
			expect(core.names()).toEqual(["new"]);
			core.create(long, "new");
			expect(core.read(long)).toBe("new");
			core.unlink(long);
			expect(core.names()).toEqual(["new"]);
			core.reopen();
			expect(core.names()).toEqual(["new"]);
		});
	},
);
