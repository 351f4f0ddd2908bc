/* SPDX-License-Identifier: Apache-2.0
 *
 * Attacks on what a backend says it can do, and on compile: op_supported, claim, compile,
 * exec_destroy, workspace_bytes.
 */
#include "abi.h"

#include <stdio.h>
#include <string.h>

static void *const untouched = (void *)(uintptr_t)0x1111;

/* Asks; an answer is FER_OK with 0 or 1, and a reason where it is no. */
static fer_support ask(abi_life *life, const abi_graph *graph, const char *what) {
    fer_support support = {.struct_size = sizeof support};
    abi *self = life->suite;
    abi_ok(self, life->m->core->op_supported(life->device, &graph->graph, 0, &support), what);
    if (memchr(support.reason, 0, sizeof support.reason) == NULL) {
        abi_fail(self, "%s: the reason has no end", what);
    }
    if (support.supported > 1 || (support.supported == 0 && support.reason[0] == '\0')) {
        abi_fail(self,
                 "%s: supported is %u, the reason '%.100s'",
                 what,
                 support.supported,
                 support.reason);
    }
    if (support.struct_size != sizeof support) {
        abi_fail(self, "%s changed struct_size", what);
    }
    return support;
}

static void life_and_graph(abi *self, abi_life *life, abi_graph *graph) {
    abi_life_open(self, life);
    abi_graph_pick(life, ABI_PLAIN, graph);
}

static void supported_again(abi *self) {
    abi_life life;
    abi_graph graph;
    life_and_graph(self, &life, &graph);
    fer_support first = ask(&life, &graph, "op_supported"), again = ask(&life, &graph, "the same");
    if (first.supported != 1 || memcmp(&first, &again, sizeof first) != 0) {
        abi_fail(self, "op_supported answers another thing when asked again, or not as claim does");
    }
    abi_life_close(&life);
}

static void supported_dtypes(abi *self) {
    abi_life life;
    abi_graph graph;
    life_and_graph(self, &life, &graph);
    for (uint32_t dtype = 0; dtype < 300; dtype++) {
        char what[80];
        for (uint32_t i = 0; i < 3; i++) {
            graph.values[i].view.dtype = (fer_dtype)dtype;
        }
        (void)snprintf(what, sizeof what, "op_supported of dtype %u", dtype);
        (void)ask(&life, &graph, what);
    }
    abi_life_close(&life);
}

static void supported_ranks(abi *self) {
    abi_life life;
    abi_graph graph;
    life_and_graph(self, &life, &graph);
    for (uint32_t rank = 0; rank <= FER_MAX_RANK; rank++) {
        for (uint32_t i = 0; i < 3; i++) {
            graph.values[i].view.rank = rank;
            for (uint32_t d = 0; d < rank; d++) {
                graph.dims[i][d] = (fer_dim){.value = 2, .max = INT64_MAX, .multiple = 1};
            }
        }
        (void)ask(&life, &graph, "op_supported of another rank");
    }
    abi_life_close(&life);
}

/* Sizes whose product no integer holds: refused, or at the latest by compile. */
static void huge_dims(abi *self) {
    abi_life life;
    abi_graph graph;
    life_and_graph(self, &life, &graph);
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t d = 0; d < graph.values[i].view.rank; d++) {
            graph.dims[i][d].value = INT64_MAX / 2;
        }
    }
    fer_support support = ask(&life, &graph, "op_supported of huge dims");
    void *exec = NULL;
    if (support.supported) {
        abi_said_reset();
        fer_status status = life.m->core->compile(life.device, &graph.graph, &exec);
        if (status == FER_OK) {
            life.m->core->exec_destroy(life.device, exec);
        } else {
            abi_refused(self, status, "compile of huge dims");
        }
    }
    abi_life_close(&life);
}

static void supported_runtime_dims(abi *self) {
    abi_life life;
    abi_graph graph;
    life_and_graph(self, &life, &graph);
    for (uint32_t i = 0; i < 3; i++) {
        graph.dims[i][0] = (fer_dim){.value = -1, .max = INT64_MAX, .multiple = 1};
    }
    graph.graph.dim_slot_count = 1;
    (void)ask(&life, &graph, "op_supported of dims known only at the run");
    abi_life_close(&life);
}

/* Only who keeps no list is asked about ops that it does not know. */
static void supported_unknown(abi *self) {
    abi_life life;
    abi_graph graph;
    const fer_op_claim *claims = NULL;
    uint32_t count = 0;
    life_and_graph(self, &life, &graph);
    abi_ok(self, life.m->core->op_claims(life.device, &claims, &count), "op_claims");
    if (count > 0) {
        abi_life_close(&life);
        abi_skip(self, "it lists its claims, so the host never asks about others");
    }
    const uint32_t ops[] = {FER_OP_NONE, 1U << 20, UINT32_MAX};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        graph.nodes[0].view.op = ops[i];
        graph.nodes[0].view.op_name = "FromTheFuture";
        if (ask(&life, &graph, "op_supported of an unknown op").supported) {
            abi_fail(self, "it takes op %u, which does not exist", ops[i]);
        }
    }
    graph.nodes[0].view.op = graph.op;
    graph.nodes[0].view.revision = 1000;
    if (ask(&life, &graph, "op_supported of a newer revision").supported) {
        abi_fail(self, "it takes a node whose meaning is that of opset 1000");
    }
    abi_life_close(&life);
}

static void supported_long(abi *self) {
    abi_life life;
    abi_graph graph;
    life_and_graph(self, &life, &graph);
    fer_support support = {.struct_size = sizeof support};
    for (int tail = 0; tail <= 0xee; tail += 0xee) {
        for (int is_no = 0; is_no < 2; is_no++) {
            fer_support *longer = abi_lengthen(self->host, &support, sizeof support, tail);
            graph.values[0].view.dtype = is_no ? FER_STRING : FER_F32;
            abi_ok(self,
                   life.m->core->op_supported(life.device, &graph.graph, 0, longer),
                   "op_supported into a longer struct");
            if (!abi_tail_is(longer, sizeof support, tail) ||
                longer->struct_size != sizeof support + ABI_TAIL) {
                abi_fail(self, "op_supported wrote behind what it knows, or over struct_size");
            }
        }
    }
    abi_life_close(&life);
}

static void supported_short(abi *self) {
    abi_life life;
    abi_graph graph;
    life_and_graph(self, &life, &graph);
    fer_support support = {0};
    graph.values[0].view.dtype = FER_STRING; /* a reason would be written */
    abi_said_reset();
    abi_refused(
        self,
        life.m->core->op_supported(life.device, &graph.graph, 0, abi_cut(self->host, &support, 8)),
        "op_supported into 8 bytes");
    abi_life_close(&life);
}

static void claim_agrees(abi *self) {
    abi_life life;
    abi_graph graph;
    life_and_graph(self, &life, &graph);
    fer_support said = {.struct_size = sizeof said};
    abi_ok(self, life.m->compiler->claim(life.device, &graph.graph, &said), "claim");
    fer_support asked = ask(&life, &graph, "op_supported");
    if (said.supported != asked.supported || said.dynamic_dims != asked.dynamic_dims) {
        abi_fail(self, "claim and op_supported answer differently about one node");
    }
    abi_life_close(&life);
}

static void claim_nothing(abi *self) {
    abi_life life;
    fer_support unused = {.struct_size = sizeof unused};
    abi_life_open(self, &life);
    fer_subgraph empty = {.struct_size = sizeof empty};
    abi_ok(self, life.m->compiler->claim(life.device, &empty, &unused), "claim of no nodes");
    abi_life_close(&life);
}

/* Attributes that the op does not have, of kinds that do not exist. */
static void supported_attributes(abi *self) {
    abi_life life;
    abi_graph graph;
    life_and_graph(self, &life, &graph);
    const fer_attr attrs[] = {
        {.name = "from_the_future", .type = 1000, .count = 1       },
        {.name = "",                .type = 0,    .count = 0       },
        {.name = "axis",            .type = -1,   .count = 1U << 31}
    };
    graph.nodes[0].view.attrs = attrs;
    for (uint32_t count = 1; count <= 3; count++) {
        graph.nodes[0].view.attr_count = count;
        (void)ask(&life, &graph, "op_supported of attributes that there are not");
    }
    abi_life_close(&life);
}

/* ---- compile ---- */

static void compile_again(abi *self) {
    abi_life life;
    abi_graph graph;
    life_and_graph(self, &life, &graph);
    for (int i = 0; i < 10; i++) {
        void *exec = NULL;
        abi_ok(self, life.m->core->compile(life.device, &graph.graph, &exec), "compile");
        life.m->core->exec_destroy(life.device, exec);
    }
    abi_life_close(&life);
}

static void compile_twice(abi *self) {
    abi_life life;
    abi_graph graph;
    abi_exec first, second, third;
    life_and_graph(self, &life, &graph);
    abi_exec_make(&life, &graph, &first);
    abi_exec_make(&life, &graph, &second);
    abi_exec_must(&first, 1);
    abi_exec_finish(&first);
    abi_exec_must(&second, 2);
    abi_exec_make(&life, &graph, &third);
    abi_exec_finish(&third);
    abi_exec_must(&second, 3);
    abi_exec_finish(&second);
    abi_life_close(&life);
}

/* Many at once; each knows its own. */
static void compile_hundred(abi *self) {
    enum { MANY = 100 };
    static abi_exec execs[MANY];
    abi_life life;
    abi_graph graph;
    life_and_graph(self, &life, &graph);
    for (uint32_t i = 0; i < MANY; i++) {
        abi_exec_make(&life, &graph, &execs[i]);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        abi_exec_must(&execs[(i * 37) % MANY], i);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        abi_exec_finish(&execs[(i * 61) % MANY]);
    }
    abi_life_close(&life);
}

/* Every struct of the graph longer than this header's, with anything in the tail. */
static void compile_long(abi *self) {
    abi_life life;
    abi_graph graph;
    abi_exec exec;
    life_and_graph(self, &life, &graph);
    for (uint32_t i = 0; i < ABI_VALUES; i++) {
        graph.values[i].view.struct_size = (uint32_t)sizeof graph.values[i];
        memset(graph.values[i].tail, 0xee, sizeof graph.values[i].tail);
    }
    for (uint32_t i = 0; i < ABI_NODES; i++) {
        graph.nodes[i].view.struct_size = (uint32_t)sizeof graph.nodes[i];
        memset(graph.nodes[i].tail, 0xee, sizeof graph.nodes[i].tail);
    }
    graph.graph.struct_size = sizeof graph.graph + ABI_TAIL;
    memset(graph.graph_tail, 0xee, sizeof graph.graph_tail);
    if (!ask(&life, &graph, "op_supported of longer views").supported) {
        abi_fail(self, "it refuses a node because its views are longer than this header's");
    }
    abi_exec_make(&life, &graph, &exec);
    abi_exec_must(&exec, 1);
    abi_exec_finish(&exec);
    abi_life_close(&life);
}

static void compile_short(abi *self) {
    abi_life life;
    abi_graph graph;
    void *exec = untouched;
    life_and_graph(self, &life, &graph);
    const fer_subgraph *cut = abi_cut(self->host, &graph.graph, 32);
    abi_said_reset();
    abi_refused(
        self, life.m->core->compile(life.device, cut, &exec), "compile of 32 bytes of a graph");
    if (exec != untouched) {
        abi_fail(self, "compile failed, and yet out_exec was set");
    }
    abi_life_close(&life);
}

/* "constants' data excepted": it may not be looked at after compile. */
static void compile_constants(abi *self) {
    abi_life life;
    abi_graph graph;
    abi_exec exec;
    abi_life_open(self, &life);
    abi_graph_pick(&life, ABI_CONSTANT, &graph);
    abi_exec_make(&life, &graph, &exec);
    abi_guarded_close(self->host, graph.constant);
    abi_exec_must(&exec, 1);
    abi_exec_must(&exec, 2);
    abi_exec_finish(&exec);
    abi_life_close(&life);
}

/* ---- workspace ---- */

static void workspace_again(abi *self) {
    abi_all all;
    uint64_t first = 1, second = 2;
    abi_all_open(self, ABI_CHAIN, &all);
    const fer_backend_core *core = all.life.m->core;
    abi_ok(self,
           core->workspace_bytes(all.life.device, all.exec.exec, NULL, &first),
           "workspace_bytes");
    abi_exec_must(&all.exec, 1);
    abi_ok(self,
           core->workspace_bytes(all.life.device, all.exec.exec, NULL, &second),
           "workspace_bytes after a run");
    if (first != second || first > (1U << 30)) {
        abi_fail(self,
                 "workspace_bytes is %llu, then %llu",
                 (unsigned long long)first,
                 (unsigned long long)second);
    }
    abi_all_close(&all);
}

static void workspace_dims(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_DYNAMIC, &all);
    const int64_t dims[] = {1, 40, 7};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        uint64_t bytes = UINT64_MAX;
        abi_ok(self,
               all.life.m->core->workspace_bytes(all.life.device, all.exec.exec, &dims[i], &bytes),
               "workspace_bytes");
        if (bytes > (1U << 30)) {
            abi_fail(self, "workspace_bytes is %llu", (unsigned long long)bytes);
        }
    }
    abi_all_close(&all);
}

/* Bounds are the run's to hold: an answer or a refusal. */
static void workspace_beyond(abi *self) {
    static const int64_t dims[] = {41, 0, -1, INT64_MIN, INT64_MAX};
    abi_all all;
    abi_all_open(self, ABI_DYNAMIC, &all);
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        uint64_t bytes = 0;
        abi_said_reset();
        fer_status status =
            all.life.m->core->workspace_bytes(all.life.device, all.exec.exec, &dims[i], &bytes);
        if (status != FER_OK) {
            abi_refused(self, status, "workspace_bytes of dims beyond their bounds");
        }
    }
    abi_exec_must(&all.exec, 1);
    abi_all_close(&all);
}

static const abi_case rows[] = {
    {"op_supported",    "again",          supported_again       },
    {"op_supported",    "every-dtype",    supported_dtypes      },
    {"op_supported",    "every-rank",     supported_ranks       },
    {"op_supported",    "huge-dims",      huge_dims             },
    {"op_supported",    "runtime-dims",   supported_runtime_dims},
    {"op_supported",    "unknown-op",     supported_unknown     },
    {"op_supported",    "long-tail",      supported_long        },
    {"op_supported",    "short",          supported_short       },
    {"op_supported",    "odd-attributes", supported_attributes  },
    {"claim",           "agrees",         claim_agrees          },
    {"claim",           "no-nodes",       claim_nothing         },
    {"compile",         "again",          compile_again         },
    {"compile",         "twice",          compile_twice         },
    {"compile",         "hundred",        compile_hundred       },
    {"compile",         "long-tails",     compile_long          },
    {"compile",         "short",          compile_short         },
    {"compile",         "constants-gone", compile_constants     },
    {"workspace_bytes", "again",          workspace_again       },
    {"workspace_bytes", "dims-beyond",    workspace_beyond      },
    {"workspace_bytes", "runtime-dims",   workspace_dims        },
};
const abi_cases abi_support_cases = {rows, sizeof rows / sizeof *rows};
