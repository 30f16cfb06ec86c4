// SPDX-License-Identifier: BSL-1.0
// Values that cannot be copied, alone and in containers and structs, as results and as
// items of map(), in both pools.
#include "futures/as_completed.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"
#include "mp/serialization.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <boost/serialization/access.hpp>

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::InvalidStateError;
using futures::MapOptions;
using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;

namespace {

using Unique = std::unique_ptr<int>;
using Uniques = std::vector<Unique>;
using UniqueMap = std::map<int, Unique>;

struct Owner {
    std::string name;
    Uniques parts;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& name& parts;
    }
};

/// Travels as it stands.
struct Plain {
    int n = 0;
    UniqueMap map;
    Uniques parts;
};

class Hidden {
public:
    Hidden() = default;

    explicit Hidden(int n) { parts_.push_back(std::make_unique<int>(n)); }

    int value() const { return *parts_.front(); }

private:
    friend class boost::serialization::access;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& parts_;
    }

    Uniques parts_;
};

struct Job {
    int n = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& n;
    }
};

using Jobs = std::map<std::string, std::vector<std::unique_ptr<Job>>>;

Jobs jobs(int n) {
    Jobs all;
    all["n"].push_back(std::make_unique<Job>());
    all["n"].back()->n = n;
    return all;
}

int value_of_jobs(const Jobs& all) {
    return all.at("n").front()->n;
}

Unique unique(int n) {
    return std::make_unique<int>(n);
}

Uniques uniques(int n) {
    Uniques all;
    all.push_back(unique(n));
    all.push_back(nullptr);
    return all;
}

UniqueMap unique_map(int n) {
    UniqueMap all;
    all.emplace(n, unique(n));
    return all;
}

Owner owner(int n) {
    return {"owner", uniques(n)};
}

Plain plain(int n) {
    return {n, unique_map(n), uniques(n)};
}

Hidden hidden(int n) {
    return Hidden(n);
}

Uniques fail(int n) {
    if (n == 2) {
        throw std::out_of_range("two");
    }
    return uniques(n);
}

int value(Unique unique) {
    return *unique;
}

int sum(const Uniques& all) {
    int sum = 0;
    for (const Unique& one : all) {
        sum += one ? *one : 0;
    }
    return sum;
}

int value_of_owner(Owner owner) {
    return sum(owner.parts);
}

int value_of_plain(Plain plain) {
    return *plain.map.at(plain.n) + sum(plain.parts);
}

int value_of_hidden(Hidden hidden) {
    return hidden.value();
}

int value_of_pair(std::pair<const int, Unique> pair) {
    return pair.first + *pair.second;
}

const std::vector<int> numbers{1, 2, 3, 4, 5};

std::vector<MapOptions> all_options() {
    return {
        {},
        {.chunksize = 2},
        {.buffersize = 2},
        {.chunksize = 3, .buffersize = 4},
        {.timeout = 60s}};
}

/// Calls `test` with a thread pool, and with a process pool of each start method.
template <class Test>
void in_each_pool(Test&& test) {
    if (GENERATE(true, false)) {
        ThreadPoolExecutor pool(2);
        test(pool);
    } else {
        ProcessPoolExecutor pool(test::on(each_pool_start_method(), 2));
        test(pool);
    }
}

template <class Make>
auto made_of(Make make, const std::vector<int>& from) {
    std::vector<decltype(make(0))> all;
    for (const int n : from) {
        all.push_back(make(n));
    }
    return all;
}

}  // namespace

TEST_CASE("submit: a result may hold what cannot be copied", "[pools]") {
    in_each_pool([](auto& pool) {
        CHECK(*pool.submit(unique, 1).result() == 1);
        const Uniques all = pool.submit(uniques, 2).result();
        CHECK((all.size() == 2 && *all[0] == 2 && all[1] == nullptr));
        CHECK(*pool.submit(unique_map, 3).result().at(3) == 3);
        CHECK(*pool.submit(owner, 4).result().parts[0] == 4);
        CHECK(pool.submit(hidden, 5).result().value() == 5);
        CHECK_THROWS_AS(pool.submit(fail, 2).result(), std::out_of_range);
    });
}

TEST_CASE(
    "submit: such a result is seen by reference as often as one likes, and moved out "
    "once",
    "[pools]"
) {
    in_each_pool([](auto& pool) {
        Future<Uniques> future = pool.submit(uniques, 6);
        const Future<Uniques> other = future;
        CHECK(*future.result().front() == 6);
        CHECK(*other.result().front() == 6);
        CHECK(sum(std::move(future).result()) == 6);
        CHECK_THROWS_AS(other.result(), InvalidStateError);
    });
}

TEST_CASE("as_completed, wait and callbacks hand such results over", "[pools]") {
    in_each_pool([](auto& pool) {
        std::vector<Future<Owner>> all;
        for (const int n : numbers) {
            all.push_back(pool.submit(owner, n));
        }
        CHECK(futures::wait(all, 60s).done.size() == numbers.size());
        int total = 0;
        for (Future<Owner>& future : futures::as_completed(all)) {
            total += sum(std::move(future).result().parts);
        }
        CHECK(total == 15);

        int seen = 0;
        pool.submit(uniques, 9).add_done_callback([&](Future<Uniques> done) {
            seen = sum(std::move(done).result());
        });
        pool.shutdown();
        CHECK(seen == 9);
    });
}

TEST_CASE("map: results may hold what cannot be copied", "[pools]") {
    in_each_pool([](auto& pool) {
        for (const MapOptions& options : all_options()) {
            std::vector<int> got;
            for (Unique&& one : pool.map(options, unique, numbers)) {
                got.push_back(*one);
            }
            for (Uniques all : pool.map(options, uniques, numbers)) {
                got.push_back(sum(all));
            }
            for (auto&& one : pool.map(options, owner, numbers)) {
                got.push_back(sum(one.parts));
            }
            for (auto&& one : pool.map(options, hidden, numbers)) {
                got.push_back(one.value());
            }
            CHECK(got.size() == 4 * numbers.size());
            CHECK(std::accumulate(got.begin(), got.end(), 0) == 4 * 15);
            const std::vector maps = pool.map(options, unique_map, numbers).to_vector();
            CHECK(*maps.at(4).at(5) == 5);
        }
    });
}

TEST_CASE("Owned objects of classes are results and items, too", "[pools]") {
    in_each_pool([](auto& pool) {
        CHECK(value_of_jobs(pool.submit(jobs, 1).result()) == 1);
        CHECK(pool.submit(value_of_jobs, jobs(2)).result() == 2);
        for (const MapOptions& options : all_options()) {
            CHECK(
                pool.map(options, value_of_jobs, pool.map(options, jobs, numbers))
                    .to_vector() == numbers
            );
            CHECK(
                pool.map(options, value_of_jobs, made_of(jobs, numbers)).to_vector() ==
                numbers
            );
        }
    });
}

TEST_CASE("A plain struct may hold what cannot be copied", "[pools]") {
    in_each_pool([](auto& pool) {
        CHECK(value_of_plain(pool.submit(plain, 1).result()) == 2);
        CHECK(pool.submit(value_of_plain, plain(2)).result() == 4);
        std::vector<Future<Plain>> all;
        all.push_back(pool.submit(plain, 3));
        for (Future<Plain>& future : futures::as_completed(all)) {
            CHECK(value_of_plain(std::move(future).result()) == 6);
        }
        for (const MapOptions& options : all_options()) {
            std::vector plains = pool.map(options, plain, numbers).to_vector();
            CHECK(
                pool.map(options, value_of_plain, std::move(plains)).to_vector() ==
                std::vector{2, 4, 6, 8, 10}
            );
        }
    });
}

TEST_CASE("map: an exception among such results does not end them", "[pools]") {
    in_each_pool([](auto& pool) {
        for (const MapOptions& options : all_options()) {
            auto results = pool.map(options, fail, numbers);
            int good = 0;
            int bad = 0;
            for (auto it = results.begin(); it != results.end(); ++it) {
                try {
                    good += sum(*it);
                } catch (const std::out_of_range&) {
                    ++bad;
                }
            }
            CHECK(good == 13);
            CHECK(bad == 1);
        }
    });
}

TEST_CASE("map: a container that is given away gives its items away", "[pools]") {
    in_each_pool([](auto& pool) {
        for (const MapOptions& options : all_options()) {
            CHECK(
                pool.map(options, value, made_of(unique, numbers)).to_vector() ==
                numbers
            );
            CHECK(
                pool.map(options, sum, made_of(uniques, numbers)).to_vector() == numbers
            );
            CHECK(
                pool.map(options, value_of_owner, made_of(owner, numbers))
                    .to_vector() == numbers
            );
            CHECK(
                pool.map(options, value_of_hidden, made_of(hidden, numbers))
                    .to_vector() == numbers
            );
            std::list<Unique> list;
            list.push_back(unique(1));
            CHECK(pool.map(options, value, std::move(list)).to_vector().front() == 1);
            CHECK(
                pool.map(options, value_of_pair, unique_map(4)).to_vector().front() == 8
            );
        }
    });
}

TEST_CASE("map: the results of a map are the items of the next", "[pools]") {
    in_each_pool([](auto& pool) {
        for (const MapOptions& options : all_options()) {
            CHECK(
                pool.map(options, value, pool.map(options, unique, numbers))
                    .to_vector() == numbers
            );
            CHECK(
                pool.map(options, value_of_hidden, pool.map(hidden, numbers))
                    .to_vector() == numbers
            );
        }
    });
}

TEST_CASE(
    "ProcessPool: items of map() that cannot be copied stay with the caller",
    "[process_pool]"
) {
    ProcessPoolExecutor pool(test::on(each_pool_start_method(), 2));
    for (const MapOptions& options : all_options()) {
        const auto items = made_of(unique, numbers);
        CHECK(pool.map(options, value, items).to_vector() == numbers);
        CHECK(pool.map(options, value, items).to_vector() == numbers);
        const UniqueMap map = unique_map(4);
        CHECK(pool.map(options, value_of_pair, map).to_vector().front() == 8);
        CHECK(*map.at(4) == 4);
        std::deque<Hidden> hiddens;
        hiddens.emplace_back(3);
        CHECK(pool.map(options, value_of_hidden, hiddens).to_vector().front() == 3);
    }
}

namespace {

/// The first time it writes to the pipe and waits to be killed.
Uniques killed_once(Uniques all, int begun, int pass) {
    char token = 0;
    if (::read(pass, &token, 1) == 1) {
        const pid_t self = ::getpid();
        if (::write(begun, &self, sizeof self) == sizeof self) {
            test::block_until_killed();
        }
    }
    return all;
}

}  // namespace

TEST_CASE(
    "ProcessPool: a task that runs again after its worker died has its arguments still",
    "[process_pool][no-tsan]"
) {
    // The pipes are known to forked workers.
    int begun[2];
    int pass[2];
    REQUIRE(::pipe(begun) == 0);
    REQUIRE(::pipe(pass) == 0);
    REQUIRE(::write(pass[1], "x", 1) == 1);
    ::close(pass[1]);
    {
        ProcessPoolExecutor pool(test::on(
            mp::get_context(mp::StartMethod::fork), 1, futures::OnWorkerLoss::retry
        ));
        auto future = pool.submit(killed_once, uniques(5), begun[1], pass[0]);
        pid_t worker = 0;
        REQUIRE(::read(begun[0], &worker, sizeof worker) == sizeof worker);
        ::kill(worker, SIGKILL);
        CHECK(sum(std::move(future).result()) == 5);
    }
    ::close(begun[0]);
    ::close(begun[1]);
    ::close(pass[0]);
}
