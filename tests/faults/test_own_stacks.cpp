// SPDX-License-Identifier: BSL-1.0
// Tasks that jump: inside of their call, to stacks of their own, and out of it. The
// cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "mp/context.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <setjmp.h>
#include <stdexcept>
#include <ucontext.h>
#include <vector>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::WorkerLost;
using test::inc;
using test::on;
using test::tasks::pid;

namespace {

// Of the one thread that runs a worker's tasks.
jmp_buf back_to_task;
ucontext_t of_task;
ucontext_t of_own_stack;
int answer_of_own_stack = 0;

[[noreturn]] void jump_with(int answer, int depth) {
    if (depth > 0) {
        jump_with(answer, depth - 1);
    }
    longjmp(back_to_task, answer);
}

int jump_inside(int answer) {
    const int jumped = setjmp(back_to_task);
    if (jumped == 0) {
        jump_with(answer, 10);
    }
    return jumped;
}

enum class OnStack { answers, catches, crashes, goes_on_for_ever };

OnStack deed_on_stack = OnStack::answers;

void use_own_stack() {
    switch (deed_on_stack) {
    case OnStack::answers:
        answer_of_own_stack = 1;
        return;
    case OnStack::catches:
        try {
            throw std::runtime_error("on another stack");
        } catch (const std::runtime_error&) {
            answer_of_own_stack = 2;
        }
        return;
    case OnStack::crashes:
        raise(SIGSEGV);
        return;
    case OnStack::goes_on_for_ever:
        return;  // there is nothing behind it
    }
}

int run_on_own_stack(OnStack deed) {
    std::vector<std::byte> stack(256UL * 1024);
    deed_on_stack = deed;
    getcontext(&of_own_stack);
    of_own_stack.uc_stack.ss_sp = stack.data();
    of_own_stack.uc_stack.ss_size = stack.size();
    of_own_stack.uc_link = deed == OnStack::goes_on_for_ever ? nullptr : &of_task;
    makecontext(&of_own_stack, use_own_stack, 0);
    swapcontext(&of_task, &of_own_stack);
    return answer_of_own_stack;
}

constexpr int code_behind_the_jump = 9;

[[noreturn]] void jump_to_the_program() {
    longjmp(back_to_task, 1);
}

/// A forked worker has the stack of the program, which a task of it jumps to.
void be_jumped_to() {
    static pid_t program = getpid();
    static ProcessPoolExecutor* pool = nullptr;
    if (setjmp(back_to_task) != 0) {
        _exit(getpid() == program ? 1 : code_behind_the_jump);
    }
    pool =
        new ProcessPoolExecutor(on(mp::get_context("fork"), 1, OnWorkerLoss::isolate));
    bool is_lost = false;
    try {
        pool->submit(jump_to_the_program).result(60s);
    } catch (const WorkerLost& lost) {
        // Or the C library has seen that it leads nowhere, and aborted.
        is_lost = lost.report().exit_code == code_behind_the_jump ||
                  lost.report().signal == SIGABRT;
    }
    const bool goes_on = pool->submit(inc, 1).result(60s) == 2;
    delete pool;
    _exit(is_lost && goes_on ? 0 : 2);
}

}  // namespace

TEST_CASE(
    "C28: a task jumps inside of its call, and runs on a stack of its own",
    "[faults][no-asan][no-tsan]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const pid_t worker = pool.submit(pid).result(60s);
    for (int i = 1; i < 20; ++i) {
        CHECK(pool.submit(jump_inside, i).result(60s) == i);
        CHECK(pool.submit(run_on_own_stack, OnStack::answers).result(60s) == 1);
        CHECK(pool.submit(run_on_own_stack, OnStack::catches).result(60s) == 2);
    }
    CHECK(pool.submit(pid).result(60s) == worker);
}

TEST_CASE(
    "C28: a task that crashes on a stack of its own, and one that never comes back "
    "from "
    "it, are lost alone",
    "[faults][no-asan][no-tsan]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, GENERATE(1, 2), OnWorkerLoss::isolate));
    const auto crashes = pool.submit(run_on_own_stack, OnStack::crashes);
    const auto never_back = pool.submit(run_on_own_stack, OnStack::goes_on_for_ever);
    try {
        crashes.result(60s);
        FAIL_CHECK("no exception");
    } catch (const WorkerLost& lost) {
        CHECK(lost.report().signal == SIGSEGV);
    }
    try {
        never_back.result(60s);
        FAIL_CHECK("no exception");
    } catch (const WorkerLost& lost) {
        // The C library calls its own exit(), which ends no child of a fork in order.
        CHECK_FALSE(lost.report().signal);
        CHECK(lost.report().exit_code.has_value());
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "C28: a task that jumps out of its call is lost alone", "[faults][no-asan][no-tsan]"
) {
    CHECK(test::exit_code_of(mp::get_context("fork").Process(be_jumped_to)) == 0);
}
