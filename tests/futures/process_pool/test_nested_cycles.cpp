// SPDX-License-Identifier: BSL-1.0
// Tasks of a process pool that wait for each other in a cycle, through futures which
// were kept in a global of their worker.
#include "futures/futures.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <fstream>
#include <string>
#include <vector>

using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::this_pool;
using test::Gate;
using test::on;

namespace {

std::vector<Future<int>>& kept() {
    static std::vector<Future<int>> futures;
    return futures;
}

int wait_for_kept() {
    return kept().at(0).result();
}

std::string wait_for_self() {
    kept().clear();
    kept().push_back(this_pool().submit(wait_for_kept));
    try {
        kept().at(0).result();
    } catch (const futures::DeadlockError& error) {
        return error.what();
    }
    return "";
}

/// In the worker where the other one was submitted from.
int wait_for_the_other() {
    return kept().at(0).result();
}

int wait_over_there(
    const std::string& bell, const std::string& gate, const std::string& text
) {
    test::ring(bell);
    test::pass(gate);
    try {
        return this_pool().submit(wait_for_the_other).result();
    } catch (const futures::DeadlockError& error) {
        std::ofstream(text) << error.what();
        return 0;
    }
}

void keep_the_other(
    const std::string& bell, const std::string& gate, const std::string& text
) {
    kept().clear();
    kept().push_back(this_pool().submit(wait_over_there, bell, gate, text));
    test::pass(bell);  // the other worker has it
}

}  // namespace

TEST_CASE("this_pool: a task that waits for itself gets a DeadlockError") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 1));
    const std::string text = pool.submit(wait_for_self).result();
    INFO(text);
    CHECK_THAT(text, test::ContainsSubstring("wait_for_kept"));
}

TEST_CASE("this_pool: a cycle over two workers is found, and names its tasks") {
    const test::TempDir dir;
    const std::string text = dir.path() / "text";
    const Gate bell;
    const Gate gate;
    {
        ProcessPoolExecutor pool(on(quick_pool_context(), 2, OnWorkerLoss::isolate));
        pool.submit(keep_the_other, bell.path(), gate.path(), text).result();
        gate.open(1);
    }
    std::string told;
    std::ifstream file(text);
    std::getline(file, told);
    CHECK_THAT(told, test::ContainsSubstring("wait_for_the_other"));
    CHECK_THAT(told, test::ContainsSubstring("wait_over_there"));
}
