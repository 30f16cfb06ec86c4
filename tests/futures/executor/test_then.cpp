// SPDX-License-Identifier: BSL-1.0
#include "futures/then.hpp"
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"

TEST_CASE("then: thin path", "[then]") {
    const futures::Future<int> f;
    auto t = f.then([](int x) { return x + 1; });
    f.set_result(1);
    CHECK(t.result() == 2);
    futures::ThreadPoolExecutor pool(2);
    auto g = pool.submit([](int a, int b) { return a + b; }, f, pool.submit([] {
        return 4;
    }));
    CHECK(g.result() == 5);
    auto h = pool.submit({.after = {f, g, t}}, [] { return 7; });
    CHECK(h.result() == 7);
}
