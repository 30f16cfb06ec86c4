// SPDX-License-Identifier: BSL-1.0
// Values that cannot be copied, alone and in containers and structs, through queues,
// pipes and the arguments of a process.
#include "mp/connection.hpp"
#include "mp/joinable_queue.hpp"
#include "mp/process.hpp"
#include "mp/queue.hpp"
#include "mp/reduction.hpp"
#include "mp/simple_queue.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <boost/serialization/access.hpp>

#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;

namespace {

using Unique = std::unique_ptr<int>;
using Uniques = std::vector<Unique>;
using UniqueMap = std::map<std::string, Unique>;

class Owner {
public:
    Owner() = default;

    explicit Owner(int n) { parts_.push_back(std::make_unique<int>(n)); }

    int value() const { return *parts_.front(); }

private:
    friend class boost::serialization::access;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& parts_& name_;
    }

    Uniques parts_;
    std::unique_ptr<std::string> name_;
};

Uniques uniques(int n) {
    Uniques all;
    all.push_back(std::make_unique<int>(n));
    all.push_back(nullptr);
    return all;
}

UniqueMap unique_map(int n) {
    UniqueMap all;
    all.emplace("n", std::make_unique<int>(n));
    return all;
}

/// Puts one, gets it again, and gives it on.
template <class T, template <class> class Queue>
T through(Queue<T>& queue, T item) {
    queue.put(item);
    queue.put(std::move(item));
    T first = queue.get();
    T second = queue.get();
    static_cast<void>(first);
    return second;
}

template <template <class> class Queue>
void check_items() {
    Queue<Unique> unique;
    CHECK(*through(unique, std::make_unique<int>(1)) == 1);
    Queue<Uniques> several;
    CHECK(*through(several, uniques(2)).front() == 2);
    Queue<UniqueMap> mapped;
    CHECK(*through(mapped, unique_map(3)).at("n") == 3);
    Queue<std::pair<int, Uniques>> pairs;
    CHECK(*through(pairs, std::pair(4, uniques(4))).second.front() == 4);
    Queue<std::optional<Uniques>> optionals;
    CHECK(*through(optionals, std::optional(uniques(5)))->front() == 5);
    Queue<std::tuple<std::list<Uniques>>> tuples;
    std::list<Uniques> list;
    list.push_back(uniques(6));
    CHECK(*std::get<0>(through(tuples, std::tuple(std::move(list)))).front()[0] == 6);
    Queue<std::variant<int, Uniques>> variants;
    CHECK(
        *std::get<1>(through(variants, std::variant<int, Uniques>(uniques(7))))[0] == 7
    );
    Queue<Owner> owners;
    CHECK(through(owners, Owner(8)).value() == 8);
    Queue<std::vector<Owner>> vectors;
    std::vector<Owner> nine;
    nine.emplace_back(9);
    CHECK(through(vectors, std::move(nine)).front().value() == 9);
}

/// Gets and gives back what it owns.
void exchange(mp::Queue<Uniques> in, mp::SimpleQueue<UniqueMap> out, Uniques more) {
    const Uniques got = in.get();
    out.put(unique_map(*got.front() + *more.front()));
}

void answer(mp::Connection connection) {
    const auto got = connection.recv<Uniques>();
    connection.send(unique_map(*got.front()));
}

}  // namespace

TEST_CASE("Queue: items may hold what cannot be copied", "[queue]") {
    check_items<mp::Queue>();
    mp::Queue<Uniques> queue(1);
    queue.put_nowait(uniques(1));
    CHECK_THROWS_AS(queue.put(uniques(2), 0s), mp::Full);
    CHECK(*queue.get_nowait().front() == 1);
    CHECK_THROWS_AS(queue.get(0s), mp::Empty);
}

TEST_CASE("Queue: put() reads the item, which stays with the caller", "[queue]") {
    mp::Queue<Uniques> queue;
    Uniques item = uniques(1);
    queue.put(std::move(item));
    CHECK(*item.front() == 1);  // NOLINT(bugprone-use-after-move): that is the point
}

TEST_CASE("SimpleQueue: items may hold what cannot be copied", "[queue]") {
    check_items<mp::SimpleQueue>();
}

TEST_CASE("JoinableQueue: items may hold what cannot be copied", "[queue]") {
    check_items<mp::JoinableQueue>();
}

TEST_CASE("Queue: an item of a map comes back, its key constant", "[queue]") {
    using Item = std::map<int, std::string>::value_type;
    mp::Queue<Item> queue;
    const std::map<int, std::string> map{{1, "one"}};
    queue.put(*map.begin());
    CHECK(queue.get() == *map.begin());
    CHECK(mp::loads<Item>(mp::dumps(*map.begin())) == *map.begin());
    auto [a, b] = mp::Pipe();
    a.send(*map.begin());
    CHECK(b.recv<Item>() == *map.begin());
}

TEST_CASE("Pipe: objects may hold what cannot be copied", "[connection]") {
    auto [a, b] = mp::Pipe();
    a.send(uniques(1));
    a.send(unique_map(2));
    a.send(Owner(3));
    CHECK(*b.recv<Uniques>().front() == 1);
    CHECK(*b.recv<UniqueMap>().at("n") == 2);
    CHECK(b.recv<Owner>().value() == 3);
}

TEST_CASE("Process: arguments and items may hold what cannot be copied", "[queue]") {
    mp::Context context = each_start_method();
    mp::Queue<Uniques> in = context.Queue<Uniques>();
    mp::SimpleQueue<UniqueMap> out = context.SimpleQueue<UniqueMap>();
    auto process = context.Process(exchange, in, out, uniques(20));
    process.start();
    in.put(uniques(1));
    CHECK(*out.get(60s).at("n") == 21);
    CHECK(process.join(60s));
    CHECK(process.exitcode() == 0);
}

TEST_CASE("Pipe: what cannot be copied reaches another process", "[connection]") {
    mp::Context context = each_start_method();
    auto [here, there] = mp::Pipe();
    auto process = context.Process(answer, there);
    process.start();
    there.close();
    here.send(uniques(5));
    CHECK(*here.recv<UniqueMap>().at("n") == 5);
    CHECK(process.join(60s));
    CHECK(process.exitcode() == 0);
}
