/* Plain C loops on threads: what a person would write by hand for the memory's bandwidth.  Form 0 stores as the compiler does it,
   form 1 past the caches; the compiler is told nothing but -O3 -march=native. */
#include <pthread.h>
#include <stddef.h>
#ifdef __AVX__
#include <immintrin.h>
#endif

enum { LANES = 8, SUMS = 64, MOST = 64 };
typedef float vec __attribute__((vector_size(4 * LANES), aligned(4)));
struct part { int kernel, form; const float *x, *y; float *out; size_t from, to; float sum; };

#define POLYNOMIAL(x, y) (2 * (x) + 3 * (x) * (y) - (x) * (x))
#define ADD(x, y) ((x) + (y))
#define SCALE(x, y) (2 * (x))

static inline void stream(float *to, vec v) {
#ifdef __AVX__
    _mm256_stream_ps(to, (__m256)v);
#else
    *(vec *)to = v;
#endif
}

/* Parts begin at multiples of 16 elements of aligned arrays, so only the end needs single steps. */
#define MAP(name, EXPRESSION) \
static void name(const float *restrict x, const float *restrict y, float *restrict out, size_t from, size_t to, int form) { \
    size_t i = from; \
    if (form == 1) \
        for (; i + LANES <= to; i += LANES) { \
            vec a = *(const vec *)(x + i), b = *(const vec *)(y + i); \
            (void)b; \
            stream(out + i, EXPRESSION(a, b)); \
        } \
    for (; i < to; i++) out[i] = EXPRESSION(x[i], y[i]); \
}
MAP(polynomial, POLYNOMIAL)
MAP(add, ADD)
MAP(scale, SCALE)

static float squares(const float *restrict x, const float *restrict y, size_t from, size_t to) {
    float sums[SUMS] = {0}, total = 0;
    size_t i = from;
    for (; i + SUMS <= to; i += SUMS)
        for (int j = 0; j < SUMS; j++) { float d = x[i + j] - y[i + j]; sums[j] += d * d; }
    for (; i < to; i++) { float d = x[i] - y[i]; sums[0] += d * d; }
    for (int j = 0; j < SUMS; j++) total += sums[j];
    return total;
}

static void *work(void *given) {
    struct part *p = given;
    if (p->kernel == 0) polynomial(p->x, p->y, p->out, p->from, p->to, p->form);
    else if (p->kernel == 1) add(p->x, p->y, p->out, p->from, p->to, p->form);
    else if (p->kernel == 2) scale(p->x, p->y, p->out, p->from, p->to, p->form);
    else p->sum = squares(p->x, p->y, p->from, p->to);
    return NULL;
}

float run(int kernel, int form, const float *x, const float *y, float *out, size_t n, int threads) {
    struct part parts[MOST];
    pthread_t others[MOST];
    float total = 0;
    threads = threads > MOST ? MOST : threads;
    size_t step = (n / threads + 15) / 16 * 16;
    for (int t = 0; t < threads; t++) {
        size_t from = t * step < n ? t * step : n, to = t == threads - 1 || from + step > n ? n : from + step;
        parts[t] = (struct part){kernel, form, x, y, out, from, to, 0};
        if (t) pthread_create(&others[t], NULL, work, &parts[t]);
    }
    work(&parts[0]);
    for (int t = 0; t < threads; t++) {
        if (t) pthread_join(others[t], NULL);
        total += parts[t].sum;
    }
    return total;
}
