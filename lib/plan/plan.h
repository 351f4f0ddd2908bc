/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan of a specialised graph: steps in order, and where every value lies. Space 0 is host
 * memory, shared by all devices that compute there; every other device has a space of its own, and
 * values cross by copy steps. A binding is the plan at one tuple of dims: sizes, arena offsets,
 * contents of shape values. Plans and bindings are immutable once made.
 */
#ifndef FERI_PLAN_PLAN_H
#define FERI_PLAN_PLAN_H

#include "partition/partition.h"

#define FERI_NO_SLOT UINT32_MAX

enum { FERI_STEP_RUN, FERI_STEP_COPY, FERI_STEP_HOST };
enum {
    FERI_AT_ARENA,
    FERI_AT_INPUT,  /* the caller's tensor; index: graph input */
    FERI_AT_OUTPUT, /* the caller's or a new tensor; index: graph output */
    FERI_AT_CONST,  /* the graph's constant, host space */
    FERI_AT_SHAPE,  /* its contents are the binding's */
    FERI_AT_VALUE   /* a fer_value that a host step made */
};

typedef struct feri_slot {
    fer_value_id value;
    uint32_t space;
    uint32_t index;
    uint32_t first;  /* step that writes it; 0 for what is there before */
    uint32_t last;   /* last step that reads it; step_count when an output is exported from it */
    uint8_t at;      /* FERI_AT_... */
    uint8_t is_late; /* its dims come from the run */
    uint8_t is_read_by_step; /* by a RUN or HOST step, not only copied */
} feri_slot;

/* A constant on a device: in place, or a copy shared through the context's store. */
typedef struct feri_weight feri_weight;

typedef struct feri_exec {
    feri_session *session; /* retained */
    void *handle;
    feri_view view;
    fer_mem *weight_mems;  /* per constant of the view */
    feri_weight **weights; /* too; NULL: in place */
    uint32_t *dim_index;   /* per dim slot of the view: index into the plan's dims */
} feri_exec;

typedef struct feri_step {
    uint8_t kind;
    uint8_t has_late; /* RUN: some output's dims come from the run */
    uint32_t space;
    uint32_t exec;          /* RUN */
    const feri_gnode *node; /* HOST */
    uint32_t node_index;    /* HOST */
    uint32_t input_count;
    uint32_t output_count;
    uint32_t *inputs;  /* slots, FERI_NO_SLOT for what is left out. COPY: one in, one out */
    uint32_t *outputs; /* right behind inputs */
} feri_step;

typedef struct feri_plan {
    feri_env *env;
    fer_graph *graph; /* borrowed: the specialisation owns it */
    feri_bump bump;
    feri_session **spaces; /* [0] may be NULL; retained */
    uint32_t space_count;
    feri_exec *execs;
    uint32_t exec_count;
    feri_step *steps;
    uint32_t step_count, step_capacity;
    feri_slot *slots;
    uint32_t slot_count, slot_capacity;
    feri_view_dim *dims; /* the binding gives their numbers */
    uint32_t dim_count, dim_capacity;
    uint32_t *input_slots;  /* per graph input: its host slot, FERI_NO_SLOT when unused */
    uint32_t *output_slots; /* per graph output: space 0 slot it comes from */
    uint8_t has_exports;    /* some output is copied from its slot after the steps */
    uint32_t input_count, output_count; /* of the graph */
    uint32_t end_count;                 /* both */
    uint32_t part_count;                /* of arenas: slots and steps */
    uint64_t weight_bytes;              /* copies this plan holds or shares */
    uint64_t compile_count;
} feri_plan;

/* Compiles every region and lays out the steps. sessions are the policy's. */
fer_status feri_plan_build(fer_graph *graph,
                           const feri_policy *policy,
                           feri_session *const *sessions,
                           const feri_partition *partition,
                           feri_plan **out_plan);
void feri_plan_destroy(feri_plan *plan);
/* 1 when a device the plan uses was lost. */
int feri_plan_is_lost(const feri_plan *plan);

typedef struct feri_binding {
    const feri_plan *plan;
    const int64_t *symbols; /* while it is made */
    int64_t *dims;          /* plan->dim_count numbers */
    uint64_t *slot_bytes;   /* per slot, then the workspaces */
    uint64_t *slot_offsets; /* per slot, ARENA only, then the workspaces */
    uint64_t *arena_bytes;  /* per space */
    uint64_t *work_offsets; /* per step: workspace in its space's arena */
    uint64_t *work_bytes;
    int64_t **step_dims;                /* per RUN step: dim_values for its exec */
    int64_t (*slot_dims)[FER_MAX_RANK]; /* per slot; late ones: upper bound */
    void **shapes;                      /* per slot: the contents of a shape value */
    feri_bump bump;
    uint64_t dims_id;
    uint64_t total_bytes; /* of the binding itself */
} feri_binding;

/* symbol_values: a number for each symbol of the graph's terms. INVALID_INPUT when they do not fit
 * the graph. */
fer_status feri_binding_create(const feri_plan *plan,
                               const int64_t *symbol_values,
                               feri_binding **out_binding);
void feri_binding_destroy(feri_binding *binding);

/* The context's store of prepared weights (weights.c). Fills the exec's weight_mems at index, and
 * weights unless the constant is used in place. */
fer_status feri_weight_get(feri_exec *exec, uint32_t index, fer_tensor *constant);
void feri_weight_release(feri_weight *weight);
/* Lets go of the constant it was made from; nobody shares the copy from then on. NULL is fine. */
void feri_weight_drop_source(feri_weight *weight);
uint64_t feri_weight_bytes(const feri_weight *weight);

#endif
