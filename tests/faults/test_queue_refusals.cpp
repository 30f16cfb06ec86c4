// SPDX-License-Identifier: BSL-1.0
// What a queue refuses: items that cannot be serialised, and everything once it is
// closed.
#include "mp/connection.hpp"
#include "mp/errors.hpp"
#include "mp/queue.hpp"

#include "support/catch.hpp"

#include <stdexcept>
#include <vector>

namespace {

struct Refuses {
    bool refuses = false;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if (Archive::is_saving::value && refuses) {
            throw std::domain_error("no such luck");
        }
        archive& refuses;
    }
};

}  // namespace

TEST_CASE(
    "O11: Queue: what cannot be serialised throws in put and leaves nothing", "[queue]"
) {
    mp::Queue<Refuses> queue(1);
    CHECK_THROWS(queue.put({.refuses = true}));
    CHECK(queue.empty());
    queue.put_nowait({.refuses = false});
    CHECK_FALSE(queue.get_nowait().refuses);
    mp::Queue<std::vector<mp::Connection>> connections;
    auto [a, b] = mp::Pipe();
    CHECK_THROWS_AS(connections.put({a}), mp::StateError);
    CHECK(connections.empty());
}

TEST_CASE("O12: Queue: closed, it refuses, in all handles of the process", "[queue]") {
    mp::Queue<int> queue;
    mp::Queue<int> same = queue;
    queue.put(1);
    CHECK_THROWS_AS(queue.join_thread(), mp::StateError);
    same.close();
    same.close();
    CHECK(queue.closed());
    queue.join_thread();
    CHECK_THROWS_WITH(queue.put(2), test::ContainsSubstring("is closed"));
    CHECK_THROWS_AS(queue.get(), std::invalid_argument);
    CHECK_THROWS_AS(queue.empty(), std::invalid_argument);
}
