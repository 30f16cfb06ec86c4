// SPDX-License-Identifier: BSL-1.0
// LeakTracker: which objects are alive.
#include "concurrency/resource_tracker.hpp"
#include "support/catch.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using concurrency::LeakTracker;

namespace {

struct Connection {
    LeakTracker::Token token;
};

std::vector<std::string> names(const LeakTracker& tracker) {
    std::vector<std::string> all;
    for (const concurrency::LeakInfo& info : tracker.live()) {
        all.push_back(info.name);
    }
    return all;
}

}  // namespace

TEST_CASE(
    "primitives::test_resource_tracker_default_name_and_clear: without a name an "
    "object "
    "is called by its address, and clear() forgets all",
    "[resource_tracker]"
) {
    LeakTracker tracker;
    int object = 0;
    const auto token = tracker.track(&object, std::nullopt, "number");
    const auto infos = tracker.live();
    REQUIRE(infos.size() == 1);
    CHECK(infos[0].name.starts_with("obj-0x"));
    CHECK(infos[0].kind == "number");
    CHECK(infos[0].created_at > 1.7e9);
    tracker.clear();
    CHECK(tracker.live().empty());
    const auto shared = std::make_shared<int>(1);
    tracker.track(shared, "");
    CHECK(names(tracker).at(0).starts_with("obj-0x"));
    CHECK_FALSE(tracker.live().at(0).kind);
}

TEST_CASE("LeakTracker: an entry dies with its token", "[resource_tracker]") {
    LeakTracker tracker;
    {
        Connection connection;
        connection.token = tracker.track(&connection, "db", "connection");
        CHECK(names(tracker) == std::vector<std::string>({"db"}));
        auto moved = std::move(connection.token);
        CHECK(names(tracker) == std::vector<std::string>({"db"}));
        connection.token = std::move(moved);
        CHECK(names(tracker) == std::vector<std::string>({"db"}));
    }
    CHECK(tracker.live().empty());
    int object = 0;
    auto token = tracker.track(&object, "x");
    token.untrack();
    CHECK(tracker.live().empty());
    token.untrack();
    token = LeakTracker::Token();
}

TEST_CASE("LeakTracker: an entry dies with the last shared_ptr", "[resource_tracker]") {
    LeakTracker tracker;
    auto first = std::make_shared<int>(1);
    auto second = first;
    tracker.track(first, "shared");
    first.reset();
    CHECK(names(tracker) == std::vector<std::string>({"shared"}));
    second.reset();
    CHECK(tracker.live().empty());
    tracker.track(std::shared_ptr<int>());
    CHECK(tracker.live().empty());
}

TEST_CASE("LeakTracker: tracked again, the new entry counts", "[resource_tracker]") {
    LeakTracker tracker;
    int object = 0;
    auto first = tracker.track(&object, "first");
    auto other = tracker.track(&first, "other");
    auto second = tracker.track(&object, "second");
    CHECK(names(tracker) == std::vector<std::string>({"other", "second"}));
    first.untrack();  // is not about the new entry
    CHECK(names(tracker) == std::vector<std::string>({"other", "second"}));
    second.untrack();
    CHECK(names(tracker) == std::vector<std::string>({"other"}));
}

TEST_CASE("LeakTracker: untrack() of what it does not know", "[resource_tracker]") {
    LeakTracker tracker;
    int object = 0;
    tracker.untrack(&object);
    const auto shared = std::make_shared<int>(1);
    tracker.untrack(shared);
    tracker.track(shared, "shared");
    tracker.untrack(shared);
    CHECK(tracker.live().empty());
    const auto token = tracker.track(&object, "x");
    tracker.untrack(&object);
    tracker.untrack(&object);
    CHECK(tracker.live().empty());
}

TEST_CASE("LeakTracker: a token may outlive its tracker", "[resource_tracker]") {
    int object = 0;
    LeakTracker::Token token;
    {
        LeakTracker tracker;
        token = tracker.track(&object);
    }
    token.untrack();
}

TEST_CASE("LeakTracker: entries come in the order of track()", "[resource_tracker]") {
    LeakTracker tracker;
    std::vector<std::shared_ptr<int>> objects;
    std::vector<std::string> expected;
    for (int i = 0; i < 300; ++i) {
        objects.push_back(std::make_shared<int>(i));
        expected.push_back(std::to_string(i));
        tracker.track(objects.back(), expected.back());
        // Those that are gone at once are nobody's business.
        tracker.track(std::make_shared<int>(i), "gone");
    }
    CHECK(names(tracker) == expected);
}

TEST_CASE(
    "primitives::test_module_level_track_resource_defaults: the program has a tracker",
    "[resource_tracker]"
) {
    int object = 0;
    const auto token = concurrency::track_resource(&object);
    const auto shared = std::make_shared<int>(1);
    concurrency::track_resource(shared);
    CHECK(concurrency::detail::program_tracker().live().size() == 2);
    concurrency::untrack_resource(&object);
    concurrency::untrack_resource(shared);
    CHECK(concurrency::detail::program_tracker().live().empty());
    concurrency::track_resource(shared, "name", "kind");
    const auto infos = concurrency::detail::program_tracker().live();
    CHECK(infos.at(0).name == "name");
    CHECK(infos.at(0).kind == "kind");
    concurrency::untrack_resource(shared);
}

TEST_CASE("LeakTracker: threads track and untrack at once", "[resource_tracker]") {
    LeakTracker tracker;
    std::atomic<bool> is_missing = false;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 200; ++round) {
                int object = 0;
                auto token = tracker.track(&object, "number");
                auto shared = std::make_shared<int>(1);
                tracker.track(shared, "shared");
                if (tracker.live().size() < 2) {
                    is_missing = true;
                }
                tracker.untrack(shared);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK_FALSE(is_missing);
    CHECK(tracker.live().empty());
}

TEST_CASE("resource_tracker: an object itself may be given", "[resource_tracker]") {
    LeakTracker tracker;
    Connection connection;
    connection.token = tracker.track(connection, "one");
    CHECK(names(tracker) == std::vector<std::string>{"one"});
    connection.token = tracker.track(&connection, "two");  // the same object
    CHECK(names(tracker) == std::vector<std::string>{"two"});
    tracker.untrack(connection);
    CHECK(tracker.live().empty());
    auto shared = std::make_shared<Connection>();
    tracker.track(shared, "three");  // what it owns, and not itself
    tracker.untrack(*shared);
    CHECK(tracker.live().empty());
    const auto token = concurrency::track_resource(connection, "four");
    concurrency::untrack_resource(connection);
}
