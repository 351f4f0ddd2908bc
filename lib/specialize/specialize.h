/* SPDX-License-Identifier: Apache-2.0
 *
 * From a graph with open shapes to plans that run. A segment is a graph whose runs may need several
 * stages; a specialisation is what one structure key makes of it: the nodes that can be shaped now,
 * planned, and a next segment with those that must wait for values this stage computes
 * (data-dependent sizes, shapes and branches computed by tensors). A binding entry is a
 * specialisation at one tuple of input dims. Ifs are resolved here: by the time one is reached its
 * condition is a known value, and only the branch taken is emitted.
 */
#ifndef FERI_SPECIALIZE_SPECIALIZE_H
#define FERI_SPECIALIZE_SPECIALIZE_H

#include "execute/execute.h"
#include "passes/pass.h"

typedef struct feri_segment feri_segment;
typedef struct feri_spec feri_spec;

/* One line of the placement report. */
typedef struct feri_report_line {
    fer_placement said;
    uint32_t source; /* of the node */
} feri_report_line;

/* What all segments of a program share. Owned by program.c. */
typedef struct feri_build {
    pthread_mutex_t lock; /* guards what stands behind dim_value_count */
    feri_env *env;
    fer_context *context;
    feri_policy policy;
    feri_pass_env passes; /* report is set while a pass runs, under lock */
    uint32_t state_count;
    const fer_dim_value *dim_values;
    uint32_t dim_value_count;
    feri_bump report_bump;
    feri_report_line *lines;
    uint32_t line_count, line_capacity;
    uint32_t *told; /* per source node: its last line, plus one */
    uint32_t told_capacity;
    feri_text pass_report;
    fer_program_stats stats;
} feri_build;

/* Takes graph over (also on failure). */
fer_status feri_segment_create(feri_build *build, fer_graph *graph, feri_segment **out_segment);
void feri_segment_destroy(feri_segment *segment);
/* Compiles what can be compiled before a run shows its inputs. */
fer_status feri_segment_prepare(feri_segment *segment);
/* Runs all stages. inputs and outputs are the graph's. */
fer_status
feri_segment_run(feri_segment *segment, feri_run *run, const feri_arg *inputs, feri_arg *outputs);
/* Releases the constants that devices hold copies of, for good (drop_sources.c). UNSUPPORTED when
 * the segment is not compiled whole. */
fer_status feri_segment_drop_sources(feri_segment *segment);
/* The constants of a graph of ours that is not shared, but for those to keep (NULL: none). */
void feri_graph_drop_constants(fer_graph *graph, const uint8_t *keep);
/* Returns the bytes it freed. */
uint64_t feri_segment_trim(feri_segment *segment, int32_t level);
uint64_t feri_segment_arena_bytes(feri_segment *segment);
uint64_t feri_segment_binding_count(feri_segment *segment);

/* ---- inside specialize/ ---- */

/* Where a segment's output, or a next segment's input, comes from. */
typedef struct feri_source {
    uint8_t is_next;  /* outputs: from the next segment; inputs: 0 */
    uint8_t is_input; /* inputs of next: the segment's own input of that index */
    uint32_t
        index; /* of the now graph's outputs, the next graph's outputs, or the segment's inputs */
} feri_source;

/* In place of a failure, with nothing recorded: symbols did not work out, numbers may. It does not
 * leave specialize/. */
enum { FERI_NEEDS_NUMBERS = -1 };

/* Fills spec->graph, which has the segment's inputs: their dims numbers or terms of its pool, their
 * elements where known. graph is left as it is. Sets spec's outputs and next_inputs; out_later is
 * NULL when one stage is enough. */
fer_status feri_walk(const fer_graph *graph, feri_spec *spec, fer_graph **out_later);
/* An empty graph for a stage of graph. */
fer_status feri_stage_create(const fer_graph *graph, fer_graph **out_stage);
/* Infers a node of a graph in place and, when its outputs are known values, makes them constants or
 * shape values and the node dead. out_undetermined: 1 when an output's shape is unknown. */
fer_status feri_node_settle(fer_graph *graph, feri_gnode *node, int *out_undetermined);

/* A dim of an input, by index and axis; it stands for all input dims of the same symbol. */
typedef struct feri_dim_place {
    uint32_t input;
    uint32_t axis;
} feri_dim_place;

/* The one specialisation of a segment without sources; DEVICE_LOST when it cannot run any more. */
fer_status feri_segment_final_spec(feri_segment *segment, feri_spec **out_spec);

/* A specialisation: see segment.c for its life. */
struct feri_spec {
    feri_segment *segment;
    uint32_t number;
    uint8_t is_symbolic; /* all open dims are symbols, or with a signature the one at open */
    uint8_t is_counted;  /* in the build's stats */
    feri_dim_place open;
    uint8_t *signature; /* of the inputs it was made for; NULL: it serves all */
    uint64_t signature_bytes;
    fer_graph *graph;
    feri_plan *plan;
    feri_bump bump;
    feri_source *outputs;
    feri_segment *next;
    feri_source *next_inputs;
    feri_segment **bodies; /* per body of host control nodes, found through body_start */
    uint32_t body_count;
    uint32_t *body_start; /* per node of graph */
    uint32_t entry_count; /* bindings that belong to it */
    feri_spec *link;      /* next in the segment's list */
};

/* Compiles. now as for feri_walk, taken over. No spec: symbols did not work out. */
fer_status
feri_spec_create(feri_segment *segment, fer_graph *now, int is_symbolic, feri_spec **out_spec);
void feri_spec_destroy(feri_spec *spec);

struct feri_segment {
    pthread_mutex_t lock;
    feri_build *build;
    fer_graph *graph;
    feri_spec *specs;
    struct feri_entry *entries;
    struct feri_state_slot *slots; /* in the segment's own block */
    uint8_t *decides;              /* too, per input: its values decide shapes or branches */
    uint32_t slot_count;
    atomic_uint waiters;
    uint8_t has_deciding;
    uint8_t has_open_dims; /* some input dim is not a number */
    uint8_t is_final;      /* its sources were dropped: what there is must do */
    uint8_t symbolic;      /* 0 untried, 1 works, 2 does not */
    uint32_t refused_count;
    uint64_t entry_bytes;
    uint64_t tick;
    pthread_cond_t freed;
    feri_dim_place refused[8]; /* dims that do not work as the only symbol either */
};

/* Adds lines for the nodes of source that have none left in after (NULL: there is no such graph):
 * what a specialisation took of its segment and where it placed it, or what the passes over the
 * model (spec and partition NULL) left nothing of. */
fer_status feri_report(feri_build *build,
                       const fer_graph *source,
                       const fer_graph *after,
                       const feri_spec *spec,
                       const feri_partition *partition);

#endif
