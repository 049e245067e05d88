import { describe, expect, it } from "bun:test";
import { parseEnvironment } from "../../src/cli/environment.ts";
import { bytes } from "./bytes.ts";

const defaults = { fileWhiteouts: false, passthrough: "auto" as const, logFile: undefined };

describe("parseEnvironment", () => {
	it.each([
		["nothing", {}, {}],
		["other variables", { HOME: "/root" }, {}],
		["unset variables", { FUSE_OVERLAYFS_NO_PASSTHROUGH: undefined }, {}],
		["file whiteouts", { FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT: "1" }, { fileWhiteouts: true }],
		["any value as set", { FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT: "" }, { fileWhiteouts: true }],
		["no passthrough", { FUSE_OVERLAYFS_NO_PASSTHROUGH: "1" }, { passthrough: "off" as const }],
		["0 as set", { FUSE_OVERLAYFS_NO_PASSTHROUGH: "0" }, { passthrough: "off" as const }],
		["a log file", { FUSE_OVERLAYFS_DEBUG_LOG: "/tmp/ä.log" }, { logFile: bytes("/tmp/ä.log") }],
		["an empty log file as none", { FUSE_OVERLAYFS_DEBUG_LOG: "" }, {}],
	])("reads %s", (_, environment: Record<string, string | undefined>, expected) => {
		expect(parseEnvironment(environment)).toEqual({ ...defaults, ...expected });
	});
});
