// SPDX-License-Identifier: BSL-1.0
// What a value costs out and in, beside a Boost binary archive made for each message.
#include "mp/detail/bytes.hpp"
#include "mp/reduction.hpp"

#include "bench.hpp"

#include <boost/archive/binary_iarchive.hpp>
#include <boost/archive/binary_oarchive.hpp>
#include <boost/serialization/map.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>

#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace {

constexpr unsigned no_header = boost::archive::no_header;

template <class T>
void add(
    Table& table,
    const Settings& settings,
    const std::string& name,
    const T& value,
    int count
) {
    const int rounds = settings.quick ? 2 : 15;
    const double per_value = 1e9 / count;
    Row row{"serialisation, out + in", name, Unit::nanoseconds, 0, {}, "", {}};
    mp::detail::ByteWriter out;
    row.ours = seconds_of(
                   rounds,
                   [&] {
                       for (int i = 0; i != count; ++i) {
                           out.clear();
                           mp::detail::encode(out, value);
                           mp::detail::ByteReader in(out.data());
                           keep(mp::detail::decode<T>(in));
                       }
                   }
               ) *
               per_value;
    const double boost =
        seconds_of(
            rounds,
            [&] {
                for (int i = 0; i != count; ++i) {
                    std::stringbuf buffer;
                    {
                        boost::archive::binary_oarchive archive(buffer, no_header);
                        archive << value;
                    }
                    boost::archive::binary_iarchive archive(buffer, no_header);
                    T back{};
                    archive >> back;
                    keep(back);
                }
            }
        ) *
        per_value;
    row.others.emplace_back("Boost binary archive", boost);
    table.add(std::move(row));
}

}  // namespace

void bench_serialisation(Table& table, const Settings& settings) {
    std::map<std::string, int> map;
    for (int i = 0; i != 50; ++i) {
        map["key number " + std::to_string(i)] = i;
    }
    add(table, settings, "int", 42, 20'000);
    add(table, settings, "string of 64 bytes", std::string(64, 'x'), 20'000);
    add(table, settings, "vector of 1000 doubles", std::vector<double>(1000, 1.5), 5'000
    );
    add(table, settings, "map of 50 strings", map, 1'000);
}

}  // namespace bench
