// SPDX-License-Identifier: BSL-1.0
// Clusters of points (k-means) by all ranks of an MPI job: mpirun -n 3 mpi_kmeans. The
// points stay where they are, in each rank; a round sends centres and gets sums.
#include "futures/futures.hpp"
#include "futures/mpi_pool.hpp"

#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <vector>

struct Point {
    double x;
    double y;
};

struct Sum {
    std::int64_t count;
    double x;
    double y;
};

// What a rank's initializer makes, its tasks use.
std::vector<Point> points;

/// Points around (100, 100), (300, 200) and (500, 300), the same in each rank. A real
/// program would read a file here.
void make_points(int count) {
    std::int64_t seed = 1;
    const auto random = [&] {
        seed = seed * 1'103'515'245 % 2'147'483'648 + 12'345;
        return static_cast<double>(seed / 65'536 % 101 - 50);
    };
    for (int i = 0; i < count; ++i) {
        const double x = 100 + 200 * (i % 3) + random();
        const double y = 100 + 100 * (i % 3) + random();
        points.push_back({x, y});
    }
}

std::size_t nearest(const std::vector<Point>& centres, const Point& point) {
    std::size_t best = 0;
    double least = 0;
    for (std::size_t i = 0; i < centres.size(); ++i) {
        const double dx = centres[i].x - point.x;
        const double dy = centres[i].y - point.y;
        const double distance = dx * dx + dy * dy;
        if (i == 0 || distance < least) {
            best = i;
            least = distance;
        }
    }
    return best;
}

/// Of some of the points, for each centre those that are nearest to it.
std::vector<Sum> sums(int first, int last, const std::vector<Point>& centres) {
    std::vector<Sum> result(centres.size(), Sum{0, 0, 0});
    for (int i = first; i < last; ++i) {
        const Point& point = points[static_cast<std::size_t>(i)];
        Sum& sum = result[nearest(centres, point)];
        ++sum.count;
        sum.x += point.x;
        sum.y += point.y;
    }
    return result;
}

void user_main() {
    constexpr int count = 3000;
    constexpr int part = 250;
    futures::MPIPoolExecutor pool({.initializer = mp::call(make_points, count)});
    std::vector<int> firsts;
    std::vector<int> lasts;
    for (int first = 0; first < count; first += part) {
        firsts.push_back(first);
        lasts.push_back(first + part);
    }

    std::vector<Point> centres{{0, 0}, {250, 250}, {600, 600}};
    std::vector<Sum> totals;
    int rounds = 0;
    for (bool moved = true; moved; ++rounds) {
        totals.assign(centres.size(), Sum{0, 0, 0});
        for (const auto& some :
             pool.map(sums, firsts, lasts, std::vector(firsts.size(), centres))) {
            for (std::size_t i = 0; i < some.size(); ++i) {
                totals[i].count += some[i].count;
                totals[i].x += some[i].x;
                totals[i].y += some[i].y;
            }
        }
        moved = false;
        for (std::size_t i = 0; i < totals.size(); ++i) {
            const auto number = static_cast<double>(totals[i].count);
            const Point centre{totals[i].x / number, totals[i].y / number};
            moved = moved || centre.x != centres[i].x || centre.y != centres[i].y;
            centres[i] = centre;
        }
    }

    std::cout << rounds << " rounds\n" << std::fixed << std::setprecision(3);
    for (std::size_t i = 0; i < centres.size(); ++i) {
        std::cout << totals[i].count << " points around " << centres[i].x << ' '
                  << centres[i].y << '\n';
    }
}

int main(int argc, char** argv) {
    return futures::mpi::run(argc, argv, user_main);
}
