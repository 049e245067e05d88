/** The Worker that does long tasks: see worker-jobs.ts. */
import { workerData } from "node:worker_threads";
import { serveTasks, type WorkerPipes } from "./worker-jobs.ts";

serveTasks(workerData as WorkerPipes);
