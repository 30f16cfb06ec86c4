// SPDX-License-Identifier: BSL-1.0
// Plain structs between processes: arguments, results, inputs of map, queue items,
// exceptions; under every start method.
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "mp/connection.hpp"
#include "mp/queue.hpp"
#include "mp/remote_error.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <string>
#include <utility>
#include <vector>

namespace {

struct Point {
    double x = 0;
    double y = 0;

    bool operator==(const Point&) const = default;
};

struct Path {
    std::string name;
    std::vector<Point> points;

    bool operator==(const Path&) const = default;
};

Path mirrored(Path path, const Point& centre) {
    for (Point& point : path.points) {
        point = {2 * centre.x - point.x, 2 * centre.y - point.y};
    }
    path.name += " mirrored";
    return path;
}

Point swapped(Point point) {
    return {point.y, point.x};
}

/// Thrown as it is: no base class, no text of its own.
struct Failure {
    std::string reason;
    Point where;
};

void fail(const Path& path) {
    throw Failure{path.name, path.points.at(0)};
}

const bool failure_is_known = (mp::register_exception<Failure>(), true);

void mirror_one(mp::Queue<Path> in, mp::Queue<Path> out, const Point& centre) {
    out.put(mirrored(in.get(), centre));
}

const Path path{"path", {{1, 2}, {3, 4}}};
const Path mirror_image{"path mirrored", {{-1, -2}, {-3, -4}}};

}  // namespace

TEST_CASE("plain struct: an argument, a result, an input of map, of both pools") {
    const std::vector<Point> points(100, Point{1, 2});
    const auto all_swapped = [&points](auto& pool) {
        CHECK(pool.submit(mirrored, path, Point()).result() == mirror_image);
        std::size_t count = 0;
        for (const Point& point : pool.map(swapped, points)) {
            count += point == Point{2, 1} ? 1U : 0U;
        }
        for (const Point& point : pool.map({.chunksize = 7}, swapped, points)) {
            count += point == Point{2, 1} ? 1U : 0U;
        }
        for (const Point& point : pool.map({.buffersize = 3}, swapped, points)) {
            count += point == Point{2, 1} ? 1U : 0U;
        }
        CHECK(count == 300);
    };
    SECTION("processes") {
        const mp::Context ctx = each_pool_start_method();
        futures::ProcessPoolExecutor pool({.max_workers = 2, .mp_context = ctx});
        all_swapped(pool);
    }
    SECTION("threads") {
        futures::ThreadPoolExecutor pool(2);
        all_swapped(pool);
    }
}

TEST_CASE("plain struct: thrown in a worker, it is caught here with its members") {
    CHECK(failure_is_known);
    const mp::Context ctx = each_pool_start_method();
    futures::ProcessPoolExecutor pool({.max_workers = 1, .mp_context = ctx});
    auto future = pool.submit(fail, path);
    try {
        future.result();
        FAIL("nothing thrown");
    } catch (const Failure& failure) {
        CHECK(failure.reason == "path");
        CHECK(failure.where == Point{1, 2});
    }
}

TEST_CASE("plain struct: an item of a queue and a message of a connection") {
    const mp::Context ctx = each_pool_start_method();
    mp::Queue<Path> in = ctx.Queue<Path>();
    mp::Queue<Path> out = ctx.Queue<Path>();
    mp::Process process = ctx.Process(mirror_one, in, out, Point());
    process.start();
    in.put(path);
    CHECK(out.get() == mirror_image);
    process.join();
    CHECK(process.exitcode() == 0);
    auto [one, other] = mp::Pipe();
    one.send(path);
    CHECK(other.recv<Path>() == path);
}
