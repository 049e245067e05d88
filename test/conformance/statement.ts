/**
 * The rows of the conformance table: statements about what a caller sees in a directory, with what the directory
 * holds at the start. Where the content lies is varied by the table, not by the statement.
 */

import { type Description, directory, type Entry, file, fillLayer } from "../harness/layers.ts";
import type { BytePath } from "../harness/native.ts";
import { lacks, type Need } from "../harness/setting.ts";

/** Where the content of a statement's directory lies before it is looked at. */
export const origins = {
	lower: "all in a lower layer",
	upper: "all in the upper layer",
	merged: "directories in the upper and two lower layers, all else in the lowest",
	layers: "as the statement says, layer by layer",
} as const;
export type Origin = keyof typeof origins;

/** The directory a statement is about. */
export interface Place {
	readonly path: string;
	/** A path in it. */
	at(...names: string[]): string;
	/** A path in it whose last name is no text, one char code a byte. */
	bytes(latin1: string): Buffer;
}

export function placeAt(path: string): Place {
	return {
		path,
		at: (...names) => [path, ...names].join("/"),
		bytes: (latin1) => Buffer.concat([Buffer.from(`${path}/`), Buffer.from(latin1, "latin1")]),
	};
}

export type Check = (place: Place) => void | Promise<void>;
/** What the upper, the lower and the lowest layer hold. */
export type ByLayer = readonly [Description, Description, Description];
type Pairs = readonly (readonly [string, Entry])[];

export interface Statement {
	readonly check: Check;
	/** False: it only looks, so that it must hold in a read-only mount too, and copies nothing up. */
	readonly changes: boolean;
	/** One description, to be tried in every origin, or one for each layer: upper, lower, lowest. */
	readonly content: Description | ByLayer;
	/** Long ones run with the default options only, beside the oracle and kernel overlayfs. */
	readonly isLong: boolean;
}

/** What the statements of one subject are called, and what they say. */
export type Subject = Readonly<Record<string, Statement>>;

interface StatementOptions {
	readonly isLong?: boolean;
}

/** A statement that changes something in a directory holding `content`. */
export function changing(
	content: Statement["content"],
	check: Check,
	{ isLong = false }: StatementOptions = {},
): Statement {
	return { check, changes: true, content, isLong };
}

/** A statement that only looks at a directory holding `content`. */
export function looking(
	content: Statement["content"],
	check: Check,
	{ isLong = false }: StatementOptions = {},
): Statement {
	return { check, changes: false, content, isLong };
}

/** A statement with the place it starts from: one line of the table. */
export interface Cell {
	/** `subject: statement [origin]`. */
	readonly title: string;
	readonly subject: string;
	/** `subject: statement`, what {@link leftOut} knows it by. */
	readonly key: string;
	/** Its directory in the tree. */
	readonly name: string;
	readonly origin: Origin;
	readonly statement: Statement;
}

const isPerLayer = (content: Statement["content"]): content is ByLayer =>
	Array.isArray(content) && content.length === 3 && content.every((layer) => !Array.isArray(layer));

export function cellsOf(subjects: Readonly<Record<string, Subject>>): Cell[] {
	return Object.entries(subjects).flatMap(([subject, statements]) =>
		Object.entries(statements).flatMap(([says, statement], index) => {
			const tried: Origin[] = isPerLayer(statement.content) ? ["layers"] : ["lower", "upper", "merged"];
			return tried.map((origin) => ({
				title: `${subject}: ${says} [${origin}]`,
				subject,
				key: `${subject}: ${says}`,
				name: `${subject.replaceAll(" ", "-")}.${index + 1}.${origin}`,
				origin,
				statement,
			}));
		}),
	);
}

function pairsOf(description: Description): Pairs {
	const pairs: readonly (readonly [BytePath, Entry | string | Buffer])[] = Array.isArray(description)
		? description
		: Object.entries(description);
	return pairs.map(([name, content]) => [
		Buffer.from(name).toString("latin1"),
		typeof content === "string" || Buffer.isBuffer(content) ? file(content) : (content as Entry),
	]);
}

const described = (pairs: Pairs): Description =>
	pairs.map(([name, entry]) => [Buffer.from(name, "latin1"), entry] as const);

/** The directories of a description, those that it only implies included. */
function directoriesOf(description: Description): Description {
	const found = new Map<string, Entry>();
	for (const [name, entry] of pairsOf(description)) {
		const parts = name.split("/").slice(0, -1);
		parts.forEach((_, index) => {
			const parent = parts.slice(0, index + 1).join("/");
			if (!found.has(parent)) found.set(parent, directory());
		});
		if (entry.isDirectory) found.set(name, entry);
	}
	return described([...found]);
}

/** What the layers, topmost first, show together, for a plain directory. */
function mergedContent(layers: readonly Description[]): Description {
	const shown = new Map<string, Entry>();
	for (const layer of [...layers].reverse()) {
		const pairs = pairsOf(layer);
		for (const [name, entry] of pairs) {
			if (entry.isDirectory && entry.hides === undefined) continue;
			for (const below of shown.keys()) if (below.startsWith(`${name}/`)) shown.delete(below);
			shown.delete(name);
		}
		for (const [name, entry] of pairs) {
			if (entry.hides !== "name") shown.set(name, entry.isDirectory ? directory(entry.attributes) : entry);
		}
	}
	// Parents first: a lower layer may only imply the directory that an upper one describes.
	const directories = [...shown]
		.filter(([, entry]) => entry.isDirectory)
		.sort(([a], [b]) => (a < b ? -1 : 1));
	return described([...directories, ...[...shown].filter(([, entry]) => !entry.isDirectory)]);
}

/** Attributes `user.*` that content has but few of its statements look at: none where there cannot be any. */
export const inPassing = (xattrs: Readonly<Record<string, string>>) =>
	lacks("user attributes") ? {} : xattrs;

/** What making the content asks for that not every user has. */
export function needsOfContent({ statement }: Cell): Need[] {
	const layers = isPerLayer(statement.content) ? statement.content : [statement.content];
	const needs = layers.flatMap(pairsOf).flatMap(([, { attributes, isDevice }]): Need[] => {
		const { uid = 0, gid = 0, xattrs = {} } = attributes;
		const ids: Need[] =
			uid === 0 && gid === 0 ? [] : Math.max(uid, gid) < 65_536 ? ["other ids"] : ["all ids"];
		const isPrivileged = Object.keys(xattrs).some((name) => /^(trusted|security)\./.test(name));
		const isUsers = Object.keys(xattrs).some((name) => name.startsWith("user."));
		return [
			...ids,
			...(isPrivileged ? (["trusted attributes"] as const) : []),
			...(isUsers ? (["user attributes"] as const) : []),
			...(isDevice ? (["devices"] as const) : []),
		];
	});
	return [...new Set(needs)];
}

/** The content of a cell's directory in the upper, the lower and the lowest layer; undefined: not there at all. */
function contentByLayer({ origin, statement }: Cell): readonly (Description | undefined)[] {
	if (isPerLayer(statement.content)) return statement.content;
	const { content } = statement;
	if (origin === "lower") return [undefined, content, undefined];
	if (origin === "upper") return [content, undefined, undefined];
	return [directoriesOf(content), directoriesOf(content), content];
}

/** Makes the content of every cell in those of the three layers, upper, lower, lowest, that have a path. */
export function layDown(cells: readonly Cell[], paths: readonly (string | undefined)[]): void {
	for (const cell of cells) {
		contentByLayer(cell).forEach((content, index) => {
			const layer = paths[index];
			if (layer !== undefined && content !== undefined) fillLayer(`${layer}/${cell.name}`, content);
		});
	}
}

/** Makes in a plain directory what a mount shows of the cells. */
export function layDownMerged(cells: readonly Cell[], path: string): void {
	for (const cell of cells) {
		const layers = contentByLayer(cell).filter((content) => content !== undefined);
		fillLayer(`${path}/${cell.name}`, mergedContent(layers));
	}
}
