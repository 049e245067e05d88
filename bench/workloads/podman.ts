/** What podman does with a Debian image whose layers the peer mounts. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Engine, type EngineUser, Store } from "../engine.ts";
import { archive } from "./packages.ts";
import { type DirectWorkload, type Group, type Place, Unavailable, type Workload } from "./workload.ts";

const IMAGE = "localhost/debian";
const CONTAINER = "changed";
/** No network, and no cgroups of its own. */
const RUN = ["run", "--cgroups=disabled", "--network=none"];
/** What the container of `diff` and `commit` has changed: some hundred files. */
const CHANGE =
	"cp -r /usr/share/zoneinfo /srv && rm -r /usr/share/doc && touch /etc/* && echo new >/etc/motd";
const INSTALL = "apt-get -qq -y --no-install-recommends --no-download install git-man";
const CONTAINERFILE = `FROM ${IMAGE}
ENV DEBIAN_FRONTEND=noninteractive
RUN cp -r /usr/share/zoneinfo /srv
RUN find /srv -name 'A*' -exec chmod 600 {} +
RUN rm -r /srv/zoneinfo /usr/share/doc/*
RUN ${INSTALL}
`;

/** A peer's storage, with the image and the container in it. */
interface Site {
	readonly engine: Engine;
	readonly store: Store;
	/** Runs podman, untimed; returns what it wrote. */
	podman(...args: string[]): Promise<string>;
}

async function openEngine(as: EngineUser, place: Place): Promise<Engine> {
	if (process.getuid?.() !== 0) throw new Unavailable("needs root, who makes podman's namespaces");
	if (place.placement === "apart")
		throw new Unavailable("podman starts the daemon, which cannot be held apart");
	const directory = join(place.directory, `podman-${as}`);
	return place.keep(`engine ${as}`, async () => {
		await place.execute(["mkdir", directory]);
		return Engine.open(as, directory, place.scratch, place.podmanRoot);
	});
}

/** The image's content where every user can read it. */
async function debianTar(place: Place): Promise<string> {
	const copy = join(place.directory, "debian.tar");
	return place.keep("debian.tar", async () => {
		await place.execute(["install", "--mode=644", archive(), copy]);
		return copy;
	});
}

async function openSite(as: EngineUser, place: Place): Promise<Site> {
	const [engine, tar] = [await openEngine(as, place), await debianTar(place)];
	const { peer } = place;
	return place.keep(`store ${as} ${peer.name}`, async () => {
		const store = new Store(engine, peer);
		const inside = (...command: string[]) =>
			place.execute([...engine.starter, ...command], store.environment);
		const podman = (...args: string[]) => inside("podman", ...args);
		const [program = "/bin/true"] = peer.command ?? [];
		await inside("test", "-x", program).catch(() => {
			throw new Error(`${program} cannot be reached by podman's user, or is not there`);
		});
		await inside("mkdir", "-p", store.runtime);
		writeFileSync(store.path("Containerfile"), CONTAINERFILE);
		await podman("import", "--quiet", tar, IMAGE);
		const mounts = await podman(...RUN, "--rm", IMAGE, "grep", " / ", "/proc/mounts");
		if (/ \/ overlay /.test(mounts) !== (peer.command === undefined))
			throw new Error(`podman does not mount by ${peer.name}: ${mounts.trim()}`);
		await podman(...RUN, `--name=${CONTAINER}`, IMAGE, "sh", "-c", CHANGE);
		return { engine, store, podman };
	});
}

interface Command {
	readonly name: string;
	readonly what: string;
	/** Arguments of podman. */
	run(store: Store): readonly string[];
	/** What it leaves, to be removed afterwards, untimed. */
	readonly leaves?: string;
}

const commands: readonly Command[] = [
	{
		name: "run",
		what: "podman run --rm of a Debian image, of true",
		run: () => [...RUN, "--rm", IMAGE, "true"],
	},
	{
		name: "diff",
		what: "podman diff of a container that has added and removed some hundred files",
		run: () => ["diff", CONTAINER],
	},
	{
		name: "commit",
		what: "podman commit of the same",
		run: () => ["commit", "--quiet", CONTAINER, "localhost/committed"],
		leaves: "localhost/committed",
	},
	{
		name: "build",
		what: "podman build of a Containerfile with four RUN, one of which installs a package",
		run: (store) => [
			...["build", "--quiet", "--no-cache", "--isolation=chroot", "--tag=localhost/built"],
			...[`--file=${store.path("Containerfile")}`, store.path("context")],
		],
		leaves: "localhost/built",
	},
];

function workloadsOf(as: EngineUser, group: Group): DirectWorkload[] {
	return commands.map(({ name, what, run, leaves }) => ({
		name: `${group}_${name}`,
		group,
		what,
		operations: () => 1,
		needs: ["podman", "crun", "setpriv", "nsenter", "unshare"],
		async measure(place) {
			const { engine, store, podman } = await openSite(as, place);
			await place.client.run(["settle", place.directory]);
			const timing = await place.client.run(["run", "/", "podman", ...run(store)], {
				starter: engine.starter,
				environment: store.environment,
				watched: "all",
			});
			if (leaves !== undefined) await podman("rmi", leaves);
			return timing;
		},
	}));
}

export const podmanWorkloads: readonly Workload[] = [
	...workloadsOf("root", "podman"),
	...workloadsOf("user", "podman_rootless"),
];
