/**
 * What the binary holds, with licences: this program, the npm packages in it, and what Bun says in its LICENSE.md is
 * linked into Bun. To be read again, and compared with that file, whenever another Bun is pinned.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const project = join(import.meta.dir, "../..");

export interface Part {
	readonly name: string;
	/** undefined: Bun does not say which it has. */
	readonly version?: string;
	/** SPDX expression. */
	readonly licence: string;
	/** Who holds the copyright, as in the part's own notice. */
	readonly copyright: string;
	/** Package URL. */
	readonly purl?: string;
	/** The whole notice, where the part brings one along. */
	readonly notice?: string;
	/** SHA-512 of the package, in hexadecimal. */
	readonly sha512?: string;
	readonly parts?: readonly Part[];
}

interface LockEntry {
	readonly version: string;
	readonly license: string;
	readonly integrity?: string;
}

export const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as {
	readonly name: string;
	readonly version: string;
	readonly description: string;
	readonly license: string;
};
const lock = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8")) as {
	readonly packages: Readonly<Record<string, LockEntry>>;
};

/** An installed package as package-lock.json pins it. Throws if it does not. */
export function pinned(name: string): LockEntry & { readonly integrity: string } {
	const entry = lock.packages[`node_modules/${name}`];
	if (entry?.integrity === undefined) throw new Error(`package-lock.json pins no ${name}`);
	return { ...entry, integrity: entry.integrity };
}

function npmPackage(name: string): Omit<Part, "copyright"> {
	const { version, license, integrity } = pinned(name);
	const sha512 = Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex");
	return { name, version, licence: license, purl: `pkg:npm/${name.replace("@", "%40")}@${version}`, sha512 };
}

function withNotice(name: string, copyright: string): Part {
	const notice = readFileSync(join(project, "node_modules", name, "LICENSE"), "utf8").trim();
	return { ...npmPackage(name), copyright, notice };
}

function linked(name: string, licence: string, copyright: string): Part {
	return { name, licence, copyright };
}

const linkedIntoBun: readonly Part[] = [
	linked(
		"JavaScriptCore and WebKit",
		"LGPL-2.0-or-later AND BSD-2-Clause",
		"Apple Inc., the KDE project and others",
	),
	linked(
		"BoringSSL",
		"Apache-2.0 AND OpenSSL AND ISC AND MIT",
		"Google Inc., the OpenSSL Project and others",
	),
	linked("Brotli", "MIT", "2009, 2010, 2013-2016 the Brotli Authors"),
	linked("libarchive", "BSD-2-Clause", "2003-2018 Tim Kientzle and others"),
	linked("lol-html", "BSD-3-Clause", "2019 Cloudflare, Inc."),
	linked("ls-hpack", "MIT", "2018 LiteSpeed Technologies Inc"),
	linked("ls-qpack", "MIT", "2018 LiteSpeed Technologies Inc"),
	linked("lsquic", "MIT AND BSD-3-Clause", "2017 LiteSpeed Technologies Inc, the Chromium Authors"),
	linked("mimalloc", "MIT", "2018 Microsoft Corporation, Daan Leijen"),
	linked("picohttpparser", "MIT", "2009-2014 Kazuho Oku, Tokuhiro Matsuno, Daisuke Murase, Shigeo Mitsunari"),
	linked("zstd", "BSD-3-Clause", "Meta Platforms, Inc. and affiliates"),
	linked("simdutf", "Apache-2.0", "2021 the simdutf authors"),
	linked("TinyCC", "LGPL-2.1-or-later", "2001-2004 Fabrice Bellard and others"),
	linked("uSockets", "Apache-2.0", "Alex Hultman and contributors"),
	linked("uWebSockets (a fork)", "Apache-2.0", "Alex Hultman and contributors"),
	linked("zlib-ng", "Zlib", "1995-2024 Jean-loup Gailly and Mark Adler"),
	linked(
		"c-ares",
		"MIT",
		"1998 Massachusetts Institute of Technology; 2007 Daniel Stenberg and contributors",
	),
	linked("ICU", "Unicode-3.0", "2016 Unicode, Inc."),
	linked(
		"base64",
		"BSD-2-Clause",
		"2005-2007 Nick Galbreath, 2015-2018 Wojciech Muła, 2016-2017 Matthieu Darbois, 2013-2022 Alfred Klomp",
	),
	linked("libdeflate", "MIT", "2016 Eric Biggers, 2024 Google LLC"),
	linked(
		"libjpeg-turbo",
		"IJG AND BSD-3-Clause AND Zlib",
		"2009-2024 D. R. Commander and others, Thomas G. Lane",
	),
	linked("libspng", "BSD-2-Clause", "2018-2022 Randy"),
	linked("libwebp", "BSD-3-Clause", "2010 Google Inc."),
	linked("highway", "Apache-2.0", "2019 Google LLC"),
	linked("uucode", "MIT", "2025 Jacob Sandlund"),
	linked("input and output of TigerBeetle (parts)", "Apache-2.0", "TigerBeetle, Inc."),
	linked(
		"libc++abi (__cxa_thread_atexit)",
		"Apache-2.0 WITH LLVM-exception",
		"the LLVM Project's contributors",
	),
	linked("esbuild (a port of parts)", "MIT", "2020 Evan Wallace"),
	...[
		...["acorn", "acorn-walk", "assert", "browserify-zlib", "buffer", "constants-browserify"],
		...["crypto-browserify", "domain-browser", "events", "https-browserify", "os-browserify"],
		...["path-browserify", "process", "punycode", "querystring-es3", "stream-browserify", "stream-http"],
		...["string_decoder", "timers-browserify", "tty-browserify", "url", "util", "vm-browserify"],
	].map((name) => linked(name, "MIT", `the authors and contributors of ${name}`)),
];

/** All of it, this program first. */
export function whole(): Part {
	return {
		name: manifest.name,
		version: manifest.version,
		licence: manifest.license,
		copyright: "the authors of fuse-overlayfs",
		purl: `pkg:npm/${manifest.name}@${manifest.version}`,
		parts: [
			{ ...npmPackage("bun"), copyright: "Jarred Sumner and the contributors to Bun", parts: linkedIntoBun },
			withNotice("citty", "Pooya Parsa"),
			withNotice("consola", "Pooya Parsa; Nate Moore"),
		],
	};
}
