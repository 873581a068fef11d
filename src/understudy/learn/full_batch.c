/* Full-batch Adam on the mean squared error of a ReLU network, in single precision. full_batch.py calls it.
 *
 * Widths are padded with zeros to multiples of 16: a padded weight has no gradient, so it stays zero.
 * A thread owns rows of the batch in the two passes and rows of each weight matrix in the update. So an epoch
 * needs two meetings, and each number is summed in the same order whatever the number of threads.
 */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A tile of ROWS x COLUMNS sums, COLUMNS counted in vectors, is what fits the registers. */
#if defined(__AVX512F__)
enum { WIDTH = 16, ROWS = 6, COLUMNS = 4 };
#elif defined(__AVX__)
enum { WIDTH = 8, ROWS = 6, COLUMNS = 2 };
#else
enum { WIDTH = 4, ROWS = 6, COLUMNS = 2 };
#endif
typedef float vector __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef int lanes __attribute__((vector_size(4 * WIDTH)));
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8") /* or the sums do not stay in registers */

typedef struct {
    long inputs, outputs;
    long at;             /* where its weight (inputs, outputs) and then its bias (outputs) begin in the flat buffers */
    float *turned;       /* (outputs, inputs): the weight transposed */
    const float *input;  /* (batch, inputs) */
    float *output;       /* (batch, outputs) */
    float *delta;        /* (batch, outputs): gradient of the loss by the output before its ReLU */
} layer;

typedef struct {
    layer *layers;
    long depth, threads, batch, wanted; /* wanted: columns of the targets, not padded */
    const float *targets;               /* (batch, wanted) */
    float *weight, *gradient, *mean, *square;
    float *row_loss; /* (batch,) */
    float *losses;   /* (epochs,) */
    long epochs, steps_before;
    double learning_rate;
    atomic_long waiting, meetings;
} fit;

typedef struct {
    fit *fit;
    long thread;
    pthread_t handle;
} worker;

/* A matrix product: out (., width) = left (., depth) right (depth, width) + bias, where left may be transposed. */
typedef struct {
    long width, depth;
    const float *left;
    long left_row, left_column; /* strides */
    const float *right, *bias;
    enum { PLAIN, RELU, WHERE_ACTIVE } finish;
    const float *active; /* (., width): WHERE_ACTIVE keeps the sums where this is above zero */
    float *out;
} product;

INLINE void tile(const product *p, long row, long column, int rows, int columns) {
    vector sum[ROWS][COLUMNS];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < columns; j++)
            sum[i][j] = p->bias ? *(const vector *)(p->bias + column + j * WIDTH) : (vector){0};
    const float *left = p->left + row * p->left_row, *right = p->right + column;
    for (long k = 0; k < p->depth; k++, left += p->left_column, right += p->width)
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int j = 0; j < columns; j++)
                sum[i][j] += left[i * p->left_row] * *(const vector *)(right + j * WIDTH);
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < columns; j++) {
            long at = (row + i) * p->width + column + j * WIDTH;
            lanes bits = (lanes)sum[i][j];
            if (p->finish == RELU) bits &= ~(lanes)(sum[i][j] < 0); /* keeps NaN, as PyTorch does */
            if (p->finish == WHERE_ACTIVE) bits &= ~(lanes)(*(const vector *)(p->active + at) <= 0);
            *(vector *)(p->out + at) = (vector)bits;
        }
}

INLINE void strip(const product *p, long row, int rows) {
    long column = 0;
    for (; column + COLUMNS * WIDTH <= p->width; column += COLUMNS * WIDTH) tile(p, row, column, rows, COLUMNS);
    for (; column < p->width; column += WIDTH) tile(p, row, column, rows, 1);
}

static void multiply(const product *p, long first, long last) {
    if (last - first < ROWS)
        for (long row = first; row < last; row++) strip(p, row, 1);
    else
        for (long row = first; row < last; row += ROWS) /* the last strip may repeat rows of the one before */
            strip(p, row <= last - ROWS ? row : last - ROWS, ROWS);
}

static void meet(fit *f) {
    long meeting = atomic_load(&f->meetings);
    if (atomic_fetch_add(&f->waiting, 1) == f->threads - 1) {
        atomic_store(&f->waiting, 0);
        atomic_store(&f->meetings, meeting + 1);
    }
    for (long spins = 0; atomic_load(&f->meetings) == meeting; spins++)
        if (spins > 10000) sched_yield(); /* a busy machine: let the thread we wait for run */
}

static void forward(fit *f, long first, long last) {
    for (long l = 0; l < f->depth; l++) {
        layer *y = f->layers + l;
        const float *weight = f->weight + y->at;
        multiply(&(product){y->outputs, y->inputs, y->input, y->inputs, 1, weight, weight + y->inputs * y->outputs,
                            l < f->depth - 1 ? RELU : PLAIN, 0, y->output}, first, last);
    }
}

static void backward(fit *f, long first, long last) {
    layer *top = f->layers + f->depth - 1;
    for (long row = first; row < last; row++) {
        f->row_loss[row] = 0;
        for (long j = 0; j < f->wanted; j++) {
            float error = top->output[row * top->outputs + j] - f->targets[row * f->wanted + j];
            top->delta[row * top->outputs + j] = error * (2.0f / (f->batch * f->wanted));
            f->row_loss[row] += error * error;
        }
    }
    for (layer *y = top; y > f->layers; y--)
        multiply(&(product){y->inputs, y->outputs, y->delta, y->outputs, 1, y->turned, 0, WHERE_ACTIVE, y->input,
                            y[-1].delta}, first, last);
}

static void adam(fit *f, long epoch, long first, long last) {
    float *restrict weight = f->weight, *restrict mean = f->mean, *restrict square = f->square;
    const float *restrict gradient = f->gradient;
    double step = f->steps_before + epoch + 1;
    const float rate = f->learning_rate / (1 - pow(0.9, step)), root = 1 / sqrt(1 - pow(0.999, step));
    for (long i = first; i < last; i++) {
        mean[i] += 0.1f * (gradient[i] - mean[i]);
        square[i] = 0.999f * square[i] + 0.001f * gradient[i] * gradient[i];
        weight[i] -= rate * mean[i] / (sqrtf(square[i]) * root + 1e-8f);
    }
}

static void turn(fit *f, layer *y, long first, long last) {
    if (y == f->layers) return; /* nothing is below it */
    for (long block = 0; block < y->outputs; block += 16)
        for (long row = first; row < last; row++)
            for (long column = block; column < block + 16; column++)
                y->turned[column * y->inputs + row] = f->weight[y->at + row * y->outputs + column];
}

static void update(fit *f, long epoch, long thread) {
    static const float one = 1; /* with strides of 0, a row of ones: sums over the batch */
    for (long l = 0; l < f->depth; l++) {
        layer *y = f->layers + l;
        long first = y->inputs * thread / f->threads, last = y->inputs * (thread + 1) / f->threads;
        long bias = y->at + y->inputs * y->outputs;
        multiply(&(product){y->outputs, f->batch, y->input, 1, y->inputs, y->delta, 0, PLAIN, 0,
                            f->gradient + y->at}, first, last);
        adam(f, epoch, y->at + first * y->outputs, y->at + last * y->outputs);
        turn(f, y, first, last);
        if (l % f->threads != thread) continue;
        multiply(&(product){y->outputs, f->batch, &one, 0, 0, y->delta, 0, PLAIN, 0, f->gradient + bias}, 0, 1);
        adam(f, epoch, bias, bias + y->outputs);
    }
}

static void *work(void *argument) {
    long thread = ((worker *)argument)->thread;
    fit *f = ((worker *)argument)->fit;
    while (atomic_load(&f->meetings) < 0) sched_yield(); /* until it is known how many threads there are */
    long first = f->batch * thread / f->threads, last = f->batch * (thread + 1) / f->threads;
    for (long epoch = 0; epoch < f->epochs; epoch++) {
        forward(f, first, last);
        backward(f, first, last);
        meet(f);
        update(f, epoch, thread);
        if (thread == 0) {
            double total = 0;
            for (long row = 0; row < f->batch; row++) total += f->row_loss[row];
            f->losses[epoch] = total / (f->batch * f->wanted);
        }
        meet(f);
    }
    return 0;
}

/* Cuts the layers' buffers out of `room`, which holds sum((2 batch + inputs) outputs) + batch floats. */
static void lay_out(fit *f, const long *widths, const float *inputs, float *room) {
    long at = 0;
    for (long l = 0; l < f->depth; l++) {
        layer *y = f->layers + l;
        *y = (layer){.inputs = widths[l], .outputs = widths[l + 1], .at = at};
        y->input = l ? y[-1].output : inputs;
        y->output = room;
        y->delta = y->output + f->batch * y->outputs;
        y->turned = y->delta + f->batch * y->outputs;
        room = y->turned + y->inputs * y->outputs;
        at += (y->inputs + 1) * y->outputs;
        turn(f, y, 0, y->inputs);
    }
    f->row_loss = room;
}

/* Goes on for `epochs`; widths (depth + 1): those of inputs and layers, the latter padded. The values do not
 * depend on the number of threads, so where a thread cannot be had it is done without. */
void train(long depth, const long *widths, long batch, long wanted, const float *inputs, const float *targets,
           float *weight, float *gradient, float *mean, float *square, float *room, float *losses, long epochs,
           long steps_before, double learning_rate, long threads) {
    layer layers[depth];
    worker workers[threads];
    fit f = {layers, depth, 0, batch, wanted, targets, weight, gradient, mean, square, 0, losses, epochs,
             steps_before, learning_rate, 0, -1};
    lay_out(&f, widths, inputs, room);
    for (long started = 1; started < threads; started++) {
        workers[started] = (worker){.fit = &f, .thread = started};
        if (pthread_create(&workers[started].handle, 0, work, workers + started)) threads = started;
    }
    f.threads = threads;
    atomic_store(&f.meetings, 0);
    workers[0] = (worker){.fit = &f};
    work(workers);
    for (long started = 1; started < threads; started++) pthread_join(workers[started].handle, 0);
}
