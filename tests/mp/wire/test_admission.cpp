// SPDX-License-Identifier: BSL-1.0
// Which stranger goes when there are too many.
#include "mp/address.hpp"

#include "support/catch.hpp"
#include "wire/admission.hpp"
#include "wire/endpoint.hpp"

#include <sys/resource.h>

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>

using mp::connection::inet;
using mp::detail::Admission;
using mp::detail::Source;

namespace {

Source source_at(const std::string& host) {
    return Source(mp::detail::endpoints_of(inet(host, 1), std::nullopt, false).front());
}

const Source user(uid_t{1000});
const Source other_user(uid_t{1001});

// What a Listener does when somebody comes.
void come(
    Admission& strangers,
    Admission::Tag tag,
    const Source& from,
    std::size_t limit,
    std::uint64_t random
) {
    strangers.enter(tag, from);
    while (const auto goes = strangers.one_too_many(limit, random)) {
        strangers.leave(*goes);
    }
}

}  // namespace

TEST_CASE("admission: what is one source", "[listener]") {
    CHECK(source_at("10.0.0.1") == source_at("10.0.0.1"));
    CHECK(source_at("10.0.0.1") != source_at("10.0.0.2"));
    CHECK(source_at("10.0.0.1") == source_at("::ffff:10.0.0.1"));
    CHECK(source_at("2001:db8:1:2::3") == source_at("2001:db8:1:2:ffff::4"));
    CHECK(source_at("2001:db8:1:2::3") != source_at("2001:db8:1:3::3"));
    CHECK(source_at("::ffff:10.0.0.1") != source_at("::1"));
    CHECK(user != other_user);
    CHECK(user != source_at("232.3.0.0"));
}

TEST_CASE("admission: nobody goes while there is room", "[listener]") {
    Admission strangers;
    CHECK_FALSE(strangers.one_too_many(0, 7));
    for (Admission::Tag tag = 0; tag < 6; ++tag) {
        strangers.enter(tag, user);
        CHECK_FALSE(strangers.one_too_many(8, 7));
    }
    // Three quarters are one source's.
    strangers.enter(6, user);
    CHECK(strangers.one_too_many(8, 7));
    strangers.leave(6);
    strangers.enter(6, other_user);
    strangers.enter(7, other_user);
    CHECK_FALSE(strangers.one_too_many(8, 7));
    strangers.enter(8, other_user);
    CHECK(strangers.size() == 9);
    for (std::uint64_t random = 0; random < 20; ++random) {
        const auto goes = strangers.one_too_many(8, random);
        REQUIRE(goes);
        CHECK(*goes < 6);
    }
    strangers.clear();
    CHECK(strangers.size() == 0);
    CHECK_FALSE(strangers.contains(0));
    CHECK_FALSE(strangers.one_too_many(0, 7));
}

TEST_CASE("admission: with room for one there is always one", "[listener]") {
    Admission strangers;
    for (Admission::Tag tag = 0; tag < 20; ++tag) {
        come(strangers, tag, tag % 2 == 0 ? user : other_user, 1, tag * 77);
        CHECK(strangers.size() == 1);
    }
}

TEST_CASE("admission: a flood from elsewhere drops nobody", "[listener]") {
    std::mt19937_64 random(1);
    Admission strangers;
    strangers.enter(0, other_user);
    for (Admission::Tag tag = 1; tag < 10'000; ++tag) {
        come(strangers, tag, user, 60, random());
    }
    CHECK(strangers.contains(0));
    CHECK(strangers.size() == 46);
}

TEST_CASE("admission: in a flood each has a fair chance to stay", "[listener]") {
    // 2,000 a second, for 50 ms, with 1,024 descriptors.
    std::mt19937_64 random(2);
    const std::size_t limit = mp::detail::stranger_limit(1, 3, 1024);
    const bool one_source = GENERATE(true, false);
    Admission strangers;
    Admission::Tag tag = 0;
    const auto flood = [&](int count) {
        for (int i = 0; i < count; ++i, ++tag) {
            const auto from = static_cast<uid_t>(tag);
            come(strangers, tag, one_source ? user : Source(from), limit, random());
        }
    };
    flood(2000);
    int stayed = 0;
    for (int round = 0; round < 300; ++round) {
        const Admission::Tag mine = tag++;
        come(strangers, mine, one_source ? user : Source(uid_t{0}), limit, random());
        flood(100);
        stayed += strangers.contains(mine) ? 1 : 0;
        strangers.leave(mine);
    }
    CHECK(stayed > 120);
}

TEST_CASE("admission: it agrees with a simple table, whatever happens", "[listener]") {
    std::mt19937_64 random(3);
    Admission strangers;
    std::map<Admission::Tag, uid_t> simple;
    for (int turn = 0; turn < 5000; ++turn) {
        const Admission::Tag tag = random() % 100;
        if (random() % 2 == 0) {
            strangers.leave(tag);
            simple.erase(tag);
        } else if (!strangers.contains(tag)) {
            const auto from = static_cast<uid_t>(random() % 7);
            strangers.enter(tag, Source(from));
            simple[tag] = from;
        }
        REQUIRE(strangers.size() == simple.size());
        REQUIRE(strangers.contains(tag) == (simple.count(tag) == 1));
        if (!simple.empty()) {
            std::map<uid_t, int> of_source;
            for (const auto& [one, from] : simple) {
                ++of_source[from];
            }
            int most = 0;
            for (const auto& [from, count] : of_source) {
                most = std::max(most, count);
            }
            const auto goes = strangers.one_too_many(simple.size() - 1, random());
            REQUIRE(goes);
            REQUIRE(simple.count(*goes) == 1);
            REQUIRE(of_source[simple[*goes]] == most);
        }
    }
}

TEST_CASE("admission: a quarter of the descriptors, shared", "[listener]") {
    using mp::detail::stranger_limit;
    CHECK(stranger_limit(1, 3, 256) == 60);
    CHECK(stranger_limit(2, 3, 256) == 30);
    CHECK(stranger_limit(100, 3, 256) == 8);
    CHECK(stranger_limit(1, 3, 1024) == 252);
    CHECK(stranger_limit(1, 3, 20'000) == 1024);
    CHECK(stranger_limit(1, 3, std::numeric_limits<std::uint64_t>::max()) == 1024);
    // The program has opened many itself.
    CHECK(stranger_limit(1, 216, 256) == 20);
    CHECK(stranger_limit(1, 255, 256) == 1);
    CHECK(stranger_limit(1, 300, 256) == 1);
    for (const std::uint64_t few : {0U, 1U, 4U, 16U, 20U, 24U}) {
        CHECK(stranger_limit(1, 3, few) >= 1);
        CHECK(stranger_limit(3, 3, few) >= 1);
        CHECK(stranger_limit(1, 3, few) <= few / 4 + 1);
    }
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(stranger_limit(1, 3) == stranger_limit(1, 3, limit.rlim_cur));
}
