// SPDX-License-Identifier: BSL-1.0
// Copying: which values can be copied, whatever their classes declare; and what a
// future does with those that cannot.
#include "futures/as_completed.hpp"
#include "futures/detail/copying.hpp"
#include "futures/errors.hpp"
#include "futures/future.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"

#include <any>
#include <array>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

using futures::Future;
using futures::InvalidStateError;
using futures::detail::Copying;
using futures::detail::copying;

namespace {

using Unique = std::unique_ptr<int>;
using Uniques = std::vector<Unique>;

template <class... T>
constexpr bool all_are(Copying how) {
    return ((copying<T> == how) && ...);
}

struct Plain {
    std::string name;
    double matrix[2][2];
    std::map<int, std::vector<std::string>> lists;
};

struct Owner {
    std::string name;
    Uniques parts;
};

struct OwnsArray {
    Uniques parts[2];
    int n;
};

struct Around {
    int n;
    Owner owner;
};

struct Derived : Owner {
    int n;
};

struct Tree {
    int n;
    std::vector<Tree> children;
};

struct UniqueTree {
    int n;
    std::vector<UniqueTree> children;
    std::map<int, Unique> owned;
};

struct References {
    std::any any;
    std::function<void()> function;
    std::shared_ptr<Uniques> shared;
    std::exception_ptr error;
};

/// Declares a copy constructor, which does not compile.
class Hidden {
public:
    explicit Hidden(int n) { parts_.push_back(std::make_unique<int>(n)); }

    int value() const { return *parts_.front(); }

private:
    Uniques parts_;
};

/// Its copies can be told from it.
class Text {
public:
    explicit Text(std::string text) : text_(std::move(text)) {}

    const std::string& value() const { return text_; }

private:
    std::string text_;
};

struct AroundHidden {
    std::string name;
    Hidden hidden;
};

struct TakesAnything {
    template <class T>
    TakesAnything(T&&);  // NOLINT: what it is for
    TakesAnything(const TakesAnything&);
};

struct AroundTakesAnything {
    int n;
    TakesAnything anything;
};

static_assert(all_are<
              void,
              int,
              std::string,
              std::vector<bool>,
              std::filesystem::path,
              std::optional<std::pair<int, std::string>>,
              std::shared_ptr<Uniques>,
              Plain,
              Tree,
              References>(Copying::works));

static_assert(all_are<
              Unique,
              Uniques,
              std::vector<Uniques>,
              std::map<int, Unique>,
              std::unordered_map<int, std::list<Unique>>,
              std::optional<Uniques>,
              std::pair<int, Uniques>,
              std::tuple<int, std::deque<Unique>>,
              std::variant<int, Uniques>,
              std::array<Uniques, 2>,
              Owner,
              OwnsArray,
              Around,
              Derived,
              UniqueTree,
              std::vector<Owner>,
              std::tuple<Hidden, Unique>>(Copying::fails));

static_assert(all_are<
              Hidden,
              Text,
              std::vector<Text>,
              std::optional<Hidden>,
              AroundHidden,
              AroundTakesAnything>(Copying::unknown));

static_assert(futures::TakenOnce<Uniques> && !futures::TakenOnce<std::string>);
static_assert(!futures::TakenOnce<void> && !futures::TakenOnce<Hidden>);
static_assert(std::is_nothrow_move_constructible_v<Future<Hidden>>);

/// A future with a value.
template <class T>
Future<T> finished(T value) {
    Future<T> future;
    future.set_result(std::move(value));
    return future;
}

Uniques one(int n) {
    Uniques all;
    all.push_back(std::make_unique<int>(n));
    return all;
}

}  // namespace

TEST_CASE(
    "Future: a container of what cannot be copied is moved out once, by any handle",
    "[future]"
) {
    const Future<Uniques> future = finished(one(1));
    Future<Uniques> other = future;
    CHECK(*other.result().front() == 1);
    const Uniques taken = std::move(other).result();
    CHECK(*taken.front() == 1);
    CHECK_THROWS_AS(future.result(), InvalidStateError);
    CHECK_THROWS_AS(Future<Uniques>(future).result(), InvalidStateError);
    CHECK(future.exception() == nullptr);
}

TEST_CASE("Future: a struct with such a container is moved out once", "[future]") {
    std::vector<Future<Owner>> all;
    all.push_back(finished(Owner{"a", one(1)}));
    all.push_back(finished(Owner{"b", one(2)}));
    CHECK(futures::wait(all).done.size() == 2);
    int sum = 0;
    for (Future<Owner>& future : futures::as_completed(all)) {
        sum += *std::move(future).result().parts.front();
    }
    CHECK(sum == 3);
    CHECK_THROWS_AS(all.front().result(), InvalidStateError);
}

TEST_CASE("Future: a callback can move out what cannot be copied", "[future]") {
    Future<std::map<int, Unique>> future;
    int seen = 0;
    future.add_done_callback([&](Future<std::map<int, Unique>> done) {
        seen = *std::move(done).result().at(7);
    });
    std::map<int, Unique> value;
    value.emplace(7, std::make_unique<int>(8));
    future.set_result(std::move(value));
    CHECK(seen == 8);
    CHECK_THROWS_AS(future.result(), InvalidStateError);
}

TEST_CASE(
    "Future: a class that hides what cannot be copied is moved out of the one handle",
    "[future]"
) {
    // A second handle would not compile.
    Future<Hidden> future = finished(Hidden(4));
    CHECK(future.result().value() == 4);
    Future<Hidden> moved = std::move(future);
    CHECK(std::move(moved).result().value() == 4);
    CHECK_THROWS_AS(moved.result(), InvalidStateError);
}

TEST_CASE(
    "Future: a value of a class that hides its members is copied while there are two "
    "handles",
    "[future]"
) {
    const Future<Text> future = finished(Text("text"));
    SECTION("copied") {
        Future<Text> other = future;
        CHECK(std::move(other).result().value() == "text");
    }
    SECTION("assigned") {
        Future<Text> other;
        other = future;
        CHECK(std::move(other).result().value() == "text");
    }
    SECTION("given to a callback") {
        std::string seen;
        future.add_done_callback([&](Future<Text> done) {
            seen = std::move(done).result().value();
        });
        CHECK(seen == "text");
    }
    SECTION("given by as_completed") {
        const std::vector<Future<Text>> all{future};
        for (Future<Text>& done : futures::as_completed(all)) {
            CHECK(std::move(done).result().value() == "text");
        }
    }
    CHECK(future.result().value() == "text");
}
