/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled graphs and their instances, between ref_backend.c (the table) and ref_exec.c (compile),
 * ref_run.c (instances and runs). An exec is immutable apart from own, the instance that core.run
 * makes for itself; the host serialises those runs.
 */
#ifndef FERI_REF_EXEC_H
#define FERI_REF_EXEC_H

#include "kit/workspace.h"
#include "ref/ref.h"

/* One node, as compiled. */
typedef struct feri_ref_step {
    const feri_ref_kernel *kernel;
    const fer_node_view *node;
    uint32_t operand; /* index of its first input in the exec's operands; outputs follow */
    uint32_t rebinds; /* 1: an input is a host value, whose contents change without dims_id */
    uint64_t params;  /* offset into an instance's params */
} feri_ref_step;

struct feri_ref_instance;
typedef struct feri_ref_exec {
    const fer_host *host;
    const fer_subgraph *graph;
    struct feri_ref_instance *own; /* core.run's, NULL before the first */
    uint64_t bytes;                /* of this allocation */
    uint64_t params_bytes;
    uint32_t operand_count;
    uint32_t life_count;
    uint32_t rebind_count;         /* steps that rebind */
    uint32_t data_dependent_count; /* outputs whose dims the run decides */
    uint32_t sub_byte_count;       /* outputs whose last byte may be part padding */
    uint32_t reserved;
    feri_ref_step *steps; /* [graph->node_count] */
    uint32_t *operands;   /* value indices, FER_NO_VALUE where left out */
    feri_kit_life *lives;
} feri_ref_exec;

fer_status
feri_ref_compile(const fer_host *host, const fer_subgraph *graph, feri_ref_exec **out_exec);
void feri_ref_exec_destroy(feri_ref_exec *exec);

/* weights may be NULL: then the first run's are taken. */
fer_status feri_ref_instance_create(feri_ref_exec *exec,
                                    const fer_mem *weights,
                                    struct feri_ref_instance **out_instance);
void feri_ref_instance_destroy(struct feri_ref_instance *instance);
fer_status feri_ref_instance_run(struct feri_ref_instance *instance, const fer_run_args *args);

#endif
