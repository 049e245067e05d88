/** The Worker that does long tasks: see worker-pool.ts. */
import { workerData } from "node:worker_threads";
import { serveTasks, type WorkerPipes } from "./worker-pool.ts";

serveTasks(workerData as WorkerPipes);
