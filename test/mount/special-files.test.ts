import { describe, expect, test } from "bun:test";
import {
	constants,
	lstatSync,
	readFileSync,
	rmSync,
	statSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { device, fifo, socket } from "../harness/layers.ts";
import { codeOf, mknod } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

describe("FIFOs", () => {
	test("of any layer carry data between processes", async () => {
		await using overlay = await mountLayers([{ lower: fifo() }], { upper: { upper: fifo() } });
		mknod(overlay.at("new"), 0o010600);
		for (const name of ["lower", "upper", "new"]) {
			const reader = Bun.spawn(["cat", overlay.at(name)], { stdout: "pipe" });
			const writer = Bun.spawn(["sh", "-c", `echo "through ${name}" >"${overlay.at(name)}"`]);
			expect(await new Response(reader.stdout).text()).toBe(`through ${name}\n`);
			expect([await writer.exited, await reader.exited]).toEqual([0, 0]);
		}
	});
});

describe("sockets", () => {
	test("are bound and connected to through the mount", async () => {
		await using overlay = await mountLayers([{ old: socket() }]);
		const path = overlay.at("s");
		const server = Bun.listen({ unix: path, socket: { open: (peer) => void peer.end("hello"), data() {} } });
		try {
			expect(statSync(path).isSocket()).toBeTrue();
			const received = await new Promise<string>((resolve, reject) => {
				void Bun.connect({
					unix: path,
					socket: { data: (_, data) => resolve(data.toString()), error: (_, error) => reject(error) },
				});
			});
			expect(received).toBe("hello");
		} finally {
			server.stop(true);
			rmSync(path, { force: true });
		}
		expect(lstatSync(overlay.at("old")).isSocket()).toBeTrue();
		unlinkSync(overlay.at("old"));
		await overlay.expectLasting();
	});
});

describe("devices", () => {
	test.skipIf(lacks("devices"))("have their numbers, also large ones", async () => {
		await using overlay = await mountLayers([
			{ null: device("char", 1, 3), disk: device("block", 259, 1_000_000) },
		]);
		mknod(overlay.at("new"), 0o060600, 4095, 1_048_575);
		for (const name of ["null", "disk"]) {
			expect(lstatSync(overlay.at(name)).rdev).toBe(lstatSync(overlay.inLower(name)).rdev);
		}
		await overlay.expectLasting();
		expect(lstatSync(overlay.inUpper("new"), { bigint: true }).rdev).toBe(
			(0xfffffn & 0xffn) | (0xfffn << 8n) | (0xfff00n << 12n),
		);
	});

	test.skipIf(lacks("devices"))("are not opened without the option dev, and work with it", async () => {
		const described = [{ zero: device("char", 1, 5, { mode: 0o666 }) }];
		{
			await using overlay = await mountLayers(described);
			expect(codeOf(() => open(overlay.at("zero")))).toBe("EACCES");
		}
		await using overlay = await mountLayers(described, { options: ["dev"] });
		using zero = open(overlay.at("zero"), constants.O_RDWR);
		expect(zero.text(4)).toBe("\0\0\0\0");
		expect(writeSync(zero.fd, "x")).toBe(1);
		expect(codeOf(() => lstatSync(overlay.inUpper("zero")))).toBe("ENOENT");
	});

	test.skipIf(lacks("other ids"))("set-id programs are honoured, and not with nosuid", async () => {
		for (const option of ["suid", "nosuid"]) {
			await using overlay = await mountLayers([{}], { options: [option] });
			writeFileSync(overlay.at("id"), readFileSync("/usr/bin/id"), { mode: 0o755 });
			Bun.spawnSync(["chown", "1234", overlay.at("id")]);
			Bun.spawnSync(["chmod", "4755", overlay.at("id")]);
			const effective = Bun.spawnSync([overlay.at("id"), "-u"])
				.stdout.toString()
				.trim();
			expect({ option, effective }).toEqual({ option, effective: option === "suid" ? "1234" : "0" });
		}
	});
});
