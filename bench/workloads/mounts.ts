/** Many mounts at once, and what their daemons take together when nobody uses them. */

import { join } from "node:path";
import type { Timing } from "../client.ts";
import { daemonsOf, endProcesses, haveLeft, MARKER_VARIABLE, type Memory, memoryOf } from "../daemon.ts";
import { mountCommand } from "../peers.ts";
import { type DirectWorkload, IDLE_SECONDS, type Place } from "./workload.ts";

/** Makes one more mount; what it took until the first stat was answered. */
async function mountOne(place: Place, marker: string, merged: string): Promise<Timing> {
	const directory = join(merged, "..");
	const layers = ["lower", "upper", "work"].map((name) => join(directory, name));
	await place.execute(["mkdir", "-p", merged, ...layers]);
	const [lower, upper, work] = layers;
	const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
	const command = mountCommand(place.peer, options, merged, "root");
	const environment = { [MARKER_VARIABLE]: marker };
	return place.client.run(["ready", join(merged, "."), ...command], { watched: "all", environment });
}

async function measureMounts(place: Place, count: number): Promise<Timing & { memory?: Memory }> {
	const marker = join(place.directory, "mounts");
	const total = { elapsed: 0, processor: 0, processorTotal: 0 };
	const made: string[] = [];
	try {
		for (let index = 0; index < count; index++) {
			const merged = join(marker, String(index), "merged");
			const timing = await mountOne(place, marker, merged);
			made.push(merged);
			for (const field of ["elapsed", "processor", "processorTotal"] as const) total[field] += timing[field];
		}
		const daemons = daemonsOf(marker);
		if (daemons.length === 0) return total;
		await Bun.sleep(place.scale.count(IDLE_SECONDS) * 1000);
		return { ...total, memory: memoryOf(daemons) };
	} finally {
		const daemons = daemonsOf(marker);
		for (const merged of made) await place.execute(["umount", merged]);
		if (!(await haveLeft(daemons))) await endProcesses(daemons);
		await place.execute(["rm", "-r", marker]);
	}
}

export const mountsWorkloads: readonly DirectWorkload[] = [20, 100].map((full) => ({
	name: `mounts_${full}`,
	group: "scale",
	what: `make ${full} mounts, which are then left alone for a minute; memory: of all daemons together`,
	operations: (scale) => scale.count(full),
	onRequest: true,
	measure: (place) => measureMounts(place, place.scale.count(full)),
}));
